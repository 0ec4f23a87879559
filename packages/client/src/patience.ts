import { backoffMs, pauseFor } from './retry.ts';

/** Told when something failed that may pass. */
export interface Waiting {
  error: Error;
  /** Milliseconds until the next attempt. */
  retryInMs: number;
  /** Milliseconds that are left before the upload gives up. */
  patienceMs: number;
}

export interface PatienceOptions {
  /** Milliseconds without any progress after which to give up. */
  patienceMs: number;
  signal: AbortSignal;
  onWaiting?: ((waiting: Waiting) => void) | undefined;
}

const pauses = { baseMs: 250, capMs: 5000 };

/** Waits out a hub that is away, shared by everything that waits for it: progress of one gives patience to all. */
export class Patience {
  readonly #options: PatienceOptions;
  #failures = 0;
  #goodAt = performance.now();

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /** Something went well: the time begins anew. */
  progressed(): void {
    this.#failures = 0;
    this.#goodAt = performance.now();
  }

  /** Waits before another attempt. @throws the error when the patience has come to its end; HoldfastError `cancelled` */
  async wait(error: Error): Promise<void> {
    const { patienceMs, signal, onWaiting } = this.#options;
    this.#failures += 1;
    const left = patienceMs - (performance.now() - this.#goodAt);
    const retryInMs = backoffMs(this.#failures, pauses);
    if (retryInMs > left) throw error;
    onWaiting?.({ error, retryInMs, patienceMs: left });
    await pauseFor(retryInMs, signal);
  }

  /** Does something until it succeeds or fails for good. */
  async keepTrying<T>(work: () => Promise<T>, isPassing: (error: unknown) => error is Error): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!isPassing(error)) throw error;
        await this.wait(error);
      }
    }
  }
}
