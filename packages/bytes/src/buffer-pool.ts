/** The size of a transfer's buffer in bytes: 512 KiB, see `sendRange` for why. */
export const TRANSFER_BUFFER_BYTES = 512 * 1024;

export interface BufferPoolOptions {
  /** Bytes of each buffer. Default 512 KiB. */
  bufferBytes?: number;
  /** Idle buffers that are kept for the next transfer; more are left to the garbage collector. Default 32. */
  maxIdle?: number;
}

/**
 * A free list of equal buffers that transfers share, so that a new transfer allocates nothing.
 * It never makes a caller wait: memory is (buffers in use + `maxIdle`) × `bufferBytes`.
 */
export class BufferPool {
  readonly bufferBytes: number;
  readonly #maxIdle: number;
  readonly #idle = new Set<Buffer>();
  #allocated = 0;

  constructor(options: BufferPoolOptions = {}) {
    this.bufferBytes = options.bufferBytes ?? TRANSFER_BUFFER_BYTES;
    this.#maxIdle = options.maxIdle ?? 32;
  }

  /** Buffers that wait for the next transfer. */
  get idle(): number {
    return this.#idle.size;
  }

  /** Buffers that were ever made, because none was idle. */
  get allocated(): number {
    return this.#allocated;
  }

  /** A buffer of `bufferBytes` with unspecified content; it belongs to the caller until `give`. */
  take(): Buffer {
    for (const buffer of this.#idle) {
      this.#idle.delete(buffer);
      return buffer;
    }
    this.#allocated += 1;
    return Buffer.allocUnsafeSlow(this.bufferBytes);
  }

  /**
   * Takes a buffer back. Only once nothing reads or writes it any more: the next transfer gets it at once.
   * @throws RangeError for a buffer of another size, or one that is already back.
   */
  give(buffer: Buffer): void {
    // A buffer that came back twice would carry the bytes of two transfers at once.
    if (buffer.byteLength !== this.bufferBytes || this.#idle.has(buffer)) {
      throw new RangeError('The buffer is not one that is taken from this pool.');
    }
    if (this.#idle.size < this.#maxIdle) this.#idle.add(buffer);
  }
}

/** The pool that transfers use unless they are given another one. */
export const transferBuffers = new BufferPool();
