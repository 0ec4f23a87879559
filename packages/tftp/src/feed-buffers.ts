import { BufferPool } from '@holdfast/bytes/buffer-pool';

/** Bytes of one buffer: two windows of 64 KiB, so that a read costs little beside the packets it fills. */
const FEED_BUFFER_BYTES = 128 * 1024;

/**
 * The read buffers of all transfers of a server, with an upper bound. When all are in use, transfers wait in the
 * order they came; reading ahead stops when half of them are.
 */
export class FeedBuffers {
  readonly #pool: BufferPool;
  readonly #most: number;
  readonly #waiters = new Set<(buffer: Buffer) => void>();
  #inUse = 0;

  /** @param mostBytes of all buffers together. */
  constructor(mostBytes: number) {
    this.#most = Math.max(1, Math.floor(mostBytes / FEED_BUFFER_BYTES));
    this.#pool = new BufferPool({ bufferBytes: FEED_BUFFER_BYTES });
  }

  /** Buffers that transfers hold. */
  get inUse(): number {
    return this.#inUse;
  }

  /**
   * A buffer with unspecified content, or undefined when the caller has to wait.
   * @param ahead for reading ahead, which comes after those that have nothing to send.
   */
  take(ahead: boolean): Buffer | undefined {
    const most = ahead ? Math.floor(this.#most / 2) : this.#most;
    if (this.#inUse >= most) return undefined;
    this.#inUse += 1;
    return this.#pool.take();
  }

  give(buffer: Buffer): void {
    for (const waiter of this.#waiters) {
      // Handed over as it is: a newcomer cannot take it from one that has waited.
      this.#waiters.delete(waiter);
      waiter(buffer);
      return;
    }
    this.#inUse -= 1;
    this.#pool.give(buffer);
  }

  /** Hands over the next buffer that comes free; it then belongs to the caller. Returns what takes the wish back. */
  wait(callback: (buffer: Buffer) => void): () => void {
    this.#waiters.add(callback);
    return () => this.#waiters.delete(callback);
  }
}
