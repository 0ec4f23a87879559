import { HoldfastError } from '@holdfast/contract/errors';

/** One who waits for a lock, in the order of coming. */
interface Waiter {
  enter: () => void;
}

/**
 * Locks by SHA-256 within this process: who publishes, records or removes a content holds its lock. Waiters get them in the order
 * in which they came; several are taken in one order, so that two callers never wait for each other.
 */
export class ContentLocks {
  /** By SHA-256, while it is held: those who wait for it. */
  readonly #waiting = new Map<string, Waiter[]>();

  /**
   * Resolves when the caller holds all of these; disposing lets go of them.
   * @throws HoldfastError `cancelled` when the signal aborts before that; nothing is held then
   */
  async take(sha256s: Iterable<string>, signal?: AbortSignal): Promise<AsyncDisposable> {
    const wanted = [...new Set(sha256s)].toSorted();
    const held: string[] = [];
    const letGo = (): void => {
      for (const sha256 of held.splice(0)) this.#release(sha256);
    };
    try {
      for (const sha256 of wanted) {
        const entering = this.#enter(sha256, signal);
        if (entering !== undefined) await entering;
        held.push(sha256);
      }
    } catch (error) {
      letGo();
      throw error;
    }
    return {
      async [Symbol.asyncDispose]() {
        letGo();
      },
    };
  }

  /** Undefined when it was free: a batch of a thousand costs no turn of the event loop. */
  #enter(sha256: string, signal: AbortSignal | undefined): Promise<void> | undefined {
    if (signal?.aborted === true) throw cancelled(signal);
    const waiting = this.#waiting.get(sha256);
    if (waiting === undefined) {
      this.#waiting.set(sha256, []);
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        enter: () => {
          signal?.removeEventListener('abort', giveUp);
          resolve();
        },
      };
      const giveUp = (): void => {
        waiting.splice(waiting.indexOf(waiter), 1);
        reject(cancelled(signal));
      };
      signal?.addEventListener('abort', giveUp, { once: true });
      waiting.push(waiter);
    });
  }

  #release(sha256: string): void {
    const next = this.#waiting.get(sha256)?.shift();
    if (next === undefined) this.#waiting.delete(sha256);
    else next.enter();
  }
}

function cancelled(signal: AbortSignal | undefined): HoldfastError {
  return new HoldfastError(
    'cancelled',
    'The request was given up while it waited for another one of the same content.',
    {
      cause: signal?.reason,
    },
  );
}
