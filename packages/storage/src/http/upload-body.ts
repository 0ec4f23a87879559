import { throwIfCancelled } from '@holdfast/bytes/durable-file';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import type { ProgressWatch } from './progress-watch.ts';

/**
 * A chunk from this size on is sent from the source's own memory: a socket write as large as its high-water mark
 * (64 KiB) is always waited for, so the source is not asked for more before the bytes are with the system. Smaller
 * ones may be queued, and the source may use their memory again: they are copied.
 */
const ownMemoryBytes = 64 * 1024;

export interface UploadExpectations {
  /** How the file is called in errors. */
  label: string;
  /** Bytes that the source must have. */
  expectedSize?: number | undefined;
  /** Lower-case hex SHA-256 that the bytes must have. */
  expectedSha256?: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * A source on its way into a request: counted, hashed and checked. What the source does wrong ends the request before
 * its last byte, so that the server never takes it for complete.
 */
export class UploadBody {
  readonly digest = new StreamDigest();
  /** Why the source ended the upload: thrown to the caller in place of what the broken request says. */
  failure: { error: unknown } | undefined;
  readonly size: number | undefined;
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #expectations: UploadExpectations;
  #state: 'idle' | 'waiting' | 'ended' = 'idle';

  constructor(source: AsyncIterable<Uint8Array>, expectations: UploadExpectations) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.#expectations = expectations;
    this.size = expectations.expectedSize;
  }

  /** The bytes, while the watch is told whose turn it is. To be taken once. */
  async *chunks(watch: ProgressWatch): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        watch.ownTurn();
        const chunk = await this.#next();
        if (chunk === undefined) break;
        if (chunk.byteLength === 0) continue;
        this.#take(chunk);
        watch.serversTurn();
        yield chunk.byteLength < ownMemoryBytes ? Buffer.from(chunk) : chunk;
      }
      this.#requireExpected();
      watch.serversTurn();
    } catch (error) {
      this.failure ??= { error };
      throw error;
    }
  }

  /** Lets the source clean up, however far it was read. Its failure to do so never hides why the upload ended. */
  async close(): Promise<void> {
    if (this.#state === 'ended') return;
    const closing = Promise.resolve(this.#iterator.return?.()).catch(() => undefined);
    // A generator that hangs in `next` runs its `return` only after that: such a source is left to its owner.
    if (this.#state === 'idle') await closing;
    this.#state = 'ended';
  }

  /** The next chunk, or undefined at the end. A cancellation does not wait for a source that is stuck. */
  async #next(): Promise<Uint8Array | undefined> {
    const { label, signal } = this.#expectations;
    throwIfCancelled(signal, `Writing ${label}`);
    const stopped = Promise.withResolvers<undefined>();
    const stop = (): void => stopped.resolve(undefined);
    signal?.addEventListener('abort', stop, { once: true });
    try {
      const result = await Promise.race([this.#step(), stopped.promise]);
      throwIfCancelled(signal, `Writing ${label}`);
      return result === undefined || result.done === true ? undefined : result.value;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  async #step(): Promise<IteratorResult<Uint8Array>> {
    this.#state = 'waiting';
    try {
      const result = await this.#iterator.next();
      this.#state = result.done === true ? 'ended' : 'idle';
      return result;
    } catch (error) {
      this.#state = 'ended';
      throw error;
    }
  }

  #take(chunk: Uint8Array): void {
    const { label, expectedSize } = this.#expectations;
    this.digest.update(chunk);
    if (expectedSize === undefined || this.digest.bytes <= expectedSize) return;
    const text = `${label} was announced with ${expectedSize} bytes, but more came. Nothing was changed.`;
    throw new HoldfastError('incomplete_body', text);
  }

  #requireExpected(): void {
    const { label, expectedSize, expectedSha256 } = this.#expectations;
    if (expectedSize !== undefined && this.digest.bytes !== expectedSize) {
      const text = `${label} was announced with ${expectedSize} bytes, but only ${this.digest.bytes} came. Send it again.`;
      throw new HoldfastError('incomplete_body', text);
    }
    if (expectedSha256 !== undefined && this.digest.hex() !== expectedSha256) {
      const text = `${label} was announced with SHA-256 ${expectedSha256}, but the bytes have ${this.digest.hex()}.`;
      throw new HoldfastError('checksum_mismatch', `${text} Nothing was changed; send it again.`);
    }
  }
}
