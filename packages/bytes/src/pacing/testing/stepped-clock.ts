import { setImmediate } from 'node:timers/promises';

/** A clock that only the test moves, with timers that ring when it passes them. */
export class SteppedClock {
  #now = 0;
  readonly #timers = new Set<{ at: number; callback: () => void }>();

  readonly now = (): number => this.#now;

  readonly setTimer = (callback: () => void, delayMs: number): (() => void) => {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  get timers(): number {
    return this.#timers.size;
  }

  /** Moves on, ringing each timer at its time; what their promises continue runs before the next one. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await setImmediate();
    for (;;) {
      const [next] = [...this.#timers].toSorted((a, b) => a.at - b.at);
      if (next === undefined || next.at > until) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
      await setImmediate();
    }
    this.#now = until;
  }
}
