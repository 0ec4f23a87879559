export interface LentBuffersOptions {
  /** Bytes of each buffer. */
  bufferBytes: number;
  /** Buffers that there are at most. */
  count: number;
}

/**
 * A fixed number of equal buffers that many share: whoever finds none waits for its turn. Memory is `count` ×
 * `bufferBytes`, however many there are that want one. Who holds a buffer while it waits for something else offers to
 * let go of it, so that a few that are stalled cannot keep all the others waiting.
 */
export class LentBuffers {
  readonly bufferBytes: number;
  readonly #count: number;
  readonly #idle: Buffer[] = [];
  readonly #lent = new Set<Buffer>();
  readonly #waiting: ((buffer: Buffer) => void)[] = [];
  readonly #offers = new Set<() => void>();

  constructor({ bufferBytes, count }: LentBuffersOptions) {
    this.bufferBytes = bufferBytes;
    this.#count = count;
  }

  /** Buffers that are with somebody now. */
  get lent(): number {
    return this.#lent.size;
  }

  /** Buffers that ever were made; never more than `count`. */
  get made(): number {
    return this.#lent.size + this.#idle.length;
  }

  /** A buffer with unspecified content, in the order of asking. It belongs to the caller until `give`. */
  async take(): Promise<Buffer> {
    const free = this.#idle.pop() ?? this.#make();
    if (free !== undefined) {
      this.#lent.add(free);
      return free;
    }
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    this.#waiting.push(resolve);
    for (const letGo of this.#offers) {
      this.#offers.delete(letGo);
      letGo();
      break;
    }
    return promise;
  }

  /**
   * Takes a buffer back. Only once nothing reads or writes it any more: the next one gets it at once.
   * @throws RangeError for a buffer that is not lent from here
   */
  give(buffer: Buffer): void {
    if (!this.#lent.has(buffer)) throw new RangeError('The buffer is not one that is lent from here.');
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next(buffer);
      return;
    }
    this.#lent.delete(buffer);
    this.#idle.push(buffer);
  }

  /**
   * Offers to let go of a buffer for as long as nobody needs it here: `letGo` is called once at most, and at once when
   * somebody waits already. It has to see to it that a buffer is given back soon.
   * @returns takes the offer back
   */
  offer(letGo: () => void): () => void {
    if (this.#waiting.length > 0) {
      letGo();
      return () => {};
    }
    this.#offers.add(letGo);
    return () => void this.#offers.delete(letGo);
  }

  #make(): Buffer | undefined {
    return this.made < this.#count ? Buffer.allocUnsafeSlow(this.bufferBytes) : undefined;
  }
}
