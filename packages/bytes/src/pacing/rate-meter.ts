const TIME_CONSTANT_MS = 1000;

/**
 * A rate smoothed over about a second: bytes fade with e^(−t/1 s). The start is corrected for the time that has not
 * been yet, so that a steady rate shows at its height from the beginning.
 */
export class RateMeter {
  readonly #startedAt: number;
  #bytes = 0;
  #at: number;

  /** @param now ms of the caller's clock */
  constructor(now: number) {
    this.#startedAt = now;
    this.#at = now;
  }

  add(bytes: number, now: number): void {
    this.#fade(now);
    this.#bytes += bytes;
  }

  /** Bytes per second at this time. */
  rate(now: number): number {
    this.#fade(now);
    // The first moments would make a block look like an enormous rate.
    const age = Math.max(50, now - this.#startedAt);
    const seen = 1 - Math.exp(-age / TIME_CONSTANT_MS);
    return this.#bytes / ((TIME_CONSTANT_MS / 1000) * seen);
  }

  #fade(now: number): void {
    if (now <= this.#at) return;
    this.#bytes *= Math.exp((this.#at - now) / TIME_CONSTANT_MS);
    this.#at = now;
  }
}
