import { requireNotMore, requireSha256, requireSize } from '@holdfast/bytes/announced-bytes';
import type { Announcement } from '@holdfast/bytes/announced-bytes';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { SourceReader } from '@holdfast/bytes/source-reader';
import type { ProgressWatch } from './progress-watch.ts';

/**
 * A chunk from this size on is sent from the source's own memory: a socket write as large as its high-water mark
 * (64 KiB) is always waited for, so the source is not asked for more before the bytes are with the system. Smaller
 * ones may be queued, and the source may use their memory again: they are copied.
 */
const ownMemoryBytes = 64 * 1024;

export interface UploadExpectations extends Announcement {
  /** How the file is called in errors. */
  label: string;
  signal?: AbortSignal | undefined;
}

/**
 * A source on its way into a request: counted, hashed and checked. What the source does wrong ends the request before
 * its last byte, so that the server never takes it for complete.
 */
export class UploadBody implements AsyncDisposable {
  readonly digest = new StreamDigest();
  /** Why the source ended the upload: thrown to the caller in place of what the broken request says. */
  failure: { error: unknown } | undefined;
  readonly size: number | undefined;
  readonly #reader: SourceReader;
  readonly #expectations: UploadExpectations;

  constructor(source: AsyncIterable<Uint8Array>, expectations: UploadExpectations) {
    this.#reader = new SourceReader(source, expectations.signal, `Writing ${expectations.label}`);
    this.#expectations = expectations;
    this.size = expectations.expectedSize;
  }

  /** The bytes, while the watch is told whose turn it is. To be taken once. */
  async *chunks(watch: ProgressWatch): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        watch.ownTurn();
        const chunk = await this.#reader.next();
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
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]();
  }

  #take(chunk: Uint8Array): void {
    this.digest.update(chunk);
    requireNotMore(this.#expectations.label, this.#expectations, this.digest.bytes);
  }

  #requireExpected(): void {
    const { label } = this.#expectations;
    requireSize(label, this.#expectations, this.digest.bytes);
    requireSha256(label, this.#expectations, this.digest.hex());
  }
}
