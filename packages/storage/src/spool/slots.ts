import { cancellationOf, throwIfCancelled } from '@holdfast/bytes/cancellation';

/** So many at a time, in the order in which they came. */
export class Slots {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Runs an action in a slot. @throws HoldfastError `cancelled` while it waits for one; what the action throws */
  async run<T>(signal: AbortSignal | undefined, doing: string, action: () => Promise<T>): Promise<T> {
    await this.#take(signal, doing);
    try {
      return await action();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#taken -= 1;
      else next();
    }
  }

  async #take(signal: AbortSignal | undefined, doing: string): Promise<void> {
    throwIfCancelled(signal, doing);
    if (this.#taken < this.#limit) {
      this.#taken += 1;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => {
      const place = this.#waiting.indexOf(resolve);
      if (place === -1) return;
      this.#waiting.splice(place, 1);
      reject(cancellationOf(signal, doing));
    };
    this.#waiting.push(resolve);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }
}
