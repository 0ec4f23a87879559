import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * How long to go on after failures:
 * - `none`: the first one counts (checks);
 * - `brief`: three tries within about a second (questions that somebody waits for);
 * - `long`: until the time limit has passed without progress (the middle of a transfer; a server may restart).
 */
export type PatienceKind = 'none' | 'brief' | 'long';

const firstDelayMs = 100;
const maxDelayMs = 2000;
const briefTries = 3;

/** Counts failures in a row and tells whether to go on. */
export class Patience {
  readonly #kind: PatienceKind;
  readonly #limitMs: number;
  #failures = 0;
  #failingSince: number | undefined;

  /** @param limitMs time without progress after which it is over */
  constructor(kind: PatienceKind, limitMs: number) {
    this.#kind = kind;
    this.#limitMs = limitMs;
  }

  /** Something got through: the count begins anew. */
  progress(): void {
    this.#failures = 0;
    this.#failingSince = undefined;
  }

  /**
   * To be called after a failure that may pass. Waits a moment and resolves to true, or to false when it is over.
   * @param startedAt `performance.now()` when the failed try began, so that a silent server uses up the limit
   * @throws HoldfastError `cancelled`
   */
  async goOn(startedAt: number, signal: AbortSignal | undefined, doing: string): Promise<boolean> {
    throwIfCancelled(signal, doing);
    this.#failures += 1;
    this.#failingSince ??= startedAt;
    if (this.#kind === 'none' || (this.#kind === 'brief' && this.#failures >= briefTries)) return false;
    // Equal jitter: clients that failed together do not come back together.
    const delayMs =
      Math.min(maxDelayMs, firstDelayMs * 2 ** (this.#failures - 1)) * (0.5 + Math.random() / 2);
    if (performance.now() + delayMs - this.#failingSince >= this.#limitMs) return false;
    // A cancelled wait ends at once; the cancellation is thrown below in its own words.
    await delay(delayMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
    throwIfCancelled(signal, doing);
    return true;
  }
}
