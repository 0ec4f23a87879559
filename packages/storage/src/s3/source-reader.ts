import { throwIfCancelled } from '@holdfast/bytes/durable-file';
import { StreamDigest } from '@holdfast/bytes/sha256';

/** Bytes taken from a source, with their SHA-256. */
export interface GatheredPart {
  bytes: Buffer;
  /** Lower-case hex. */
  sha256: string;
}

/** Memory that a body of unknown size begins with. */
const firstBytes = 64 * 1024;

function grown(memory: Buffer, filled: number, bytes: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(bytes);
  memory.copy(larger, 0, 0, filled);
  return larger;
}

/**
 * Takes chunks from a source one at a time and lays them into buffers of the size that is asked for, hashing each part
 * and the whole as they come. A cancellation does not wait for a source that is stuck.
 */
export class SourceReader {
  /** Of all bytes taken so far. */
  readonly digest = new StreamDigest();
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal;
  readonly #doing: string;
  #state: 'idle' | 'waiting' | 'ended' = 'idle';
  #stopWaiting: (() => void) | undefined;
  /** What the last chunk had more than there was room; the source may reuse its memory only after the next pull. */
  #rest: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>, signal: AbortSignal, doing: string) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.#signal = signal;
    this.#doing = doing;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  readonly #onAbort = (): void => this.#stopWaiting?.();

  /**
   * Fills a buffer, and less of it only when the source ends.
   * @param buffer memory to fill, or how much to gather at most into memory that grows with what comes
   * @param check told the bytes of the whole with every chunk; throws when they are too many
   * @throws what the source throws, as it is; HoldfastError `cancelled`
   */
  async fill(buffer: Buffer | number, check: (bytes: number) => void): Promise<GatheredPart> {
    const limit = typeof buffer === 'number' ? buffer : buffer.byteLength;
    let memory = typeof buffer === 'number' ? Buffer.allocUnsafeSlow(Math.min(limit, firstBytes)) : buffer;
    const part = new StreamDigest();
    while (part.bytes < limit && (await this.hasMore())) {
      const piece = this.#rest.subarray(0, limit - part.bytes);
      check(this.digest.bytes + this.#rest.byteLength);
      if (part.bytes + piece.byteLength > memory.byteLength) {
        const wanted = Math.max(memory.byteLength * 4, part.bytes + piece.byteLength);
        memory = grown(memory, part.bytes, Math.min(limit, wanted));
      }
      memory.set(piece, part.bytes);
      part.update(piece);
      this.digest.update(piece);
      this.#rest = this.#rest.subarray(piece.byteLength);
    }
    return { bytes: memory.subarray(0, part.bytes), sha256: part.hex() };
  }

  /** Whether the source has another byte. */
  async hasMore(): Promise<boolean> {
    while (this.#rest.byteLength === 0) {
      const chunk = await this.#next();
      if (chunk === undefined) return false;
      this.#rest = chunk;
    }
    return true;
  }

  async #next(): Promise<Uint8Array | undefined> {
    throwIfCancelled(this.#signal, this.#doing);
    if (this.#state === 'ended') return undefined;
    // A promise a chunk: racing every chunk against one long promise would pile up reactions on it.
    const stopped = Promise.withResolvers<undefined>();
    this.#stopWaiting = () => stopped.resolve(undefined);
    const result = await Promise.race([this.#step(), stopped.promise]);
    throwIfCancelled(this.#signal, this.#doing);
    return result === undefined || result.done === true ? undefined : result.value;
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

  /** Lets the source clean up. Its failure to do so never hides why the reading ended. */
  async close(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#onAbort);
    if (this.#state === 'ended') return;
    const closing = Promise.resolve(this.#iterator.return?.()).catch(() => undefined);
    // A generator that hangs in `next` runs its `return` only after that: such a source is left to its owner.
    if (this.#state === 'idle') await closing;
  }
}
