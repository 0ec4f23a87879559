import { BufferPool } from '@holdfast/bytes/buffer-pool';

/** Bytes of one buffer: two windows of 64 KiB, so that a read costs little beside the packets it fills. */
export const FEED_BUFFER_BYTES = 128 * 1024;

/**
 * The read buffers of all transfers of a server, with an upper bound. When all are in use, transfers wait in the
 * order they came; reading ahead stops when half of them are.
 */
export class FeedBuffers {
  readonly #pool: BufferPool;
  readonly #most: number;
  readonly #waiters = new Set<() => void>();
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
    this.#pool.give(buffer);
    this.#inUse -= 1;
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      // Not in this call: the giver is still in the middle of its own work.
      setImmediate(waiter);
      return;
    }
  }

  /** Calls back once when a buffer has become free. Returns what takes the wish back. */
  wait(callback: () => void): () => void {
    this.#waiters.add(callback);
    return () => this.#waiters.delete(callback);
  }
}
