/**
 * One sync for many who wait for it: whoever asks while one is running shares the next one with all who ask meanwhile,
 * since only a sync that began after a write is sure to cover it.
 */
export class CoalescedSync<T = void> {
  readonly #sync: () => Promise<T>;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  /** @param sync makes everything durable that was written before it is called; what it resolves to is told to all */
  constructor(sync: () => Promise<T>) {
    this.#sync = sync;
  }

  /** Resolves when a sync has ended that began after this call. @throws what the sync throws */
  cover(): Promise<T> {
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#start();
    const start = (): Promise<T> => {
      this.#next = undefined;
      return this.#start();
    };
    this.#next = this.#running.then(start, start);
    return this.#next;
  }

  #start(): Promise<T> {
    const running = this.#sync().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
