import { HoldfastError } from '@holdfast/contract/errors';

/** Work that outlives the request that started it. Ends with the hub: everything is told to stop and waited for. */
export class Jobs implements AsyncDisposable {
  readonly #running = new Set<Promise<void>>();
  readonly #controller = new AbortController();
  readonly #onError: (name: string, error: unknown) => void;

  constructor(onError: (name: string, error: unknown) => void) {
    this.#onError = onError;
  }

  /** Runs `work` in the background; it must stop soon after its signal aborts. */
  spawn(name: string, work: (signal: AbortSignal) => Promise<void>): void {
    const signal = this.#controller.signal;
    if (signal.aborted) return;
    const job = work(signal)
      .catch((error: unknown) => {
        if (!signal.aborted) this.#onError(name, error);
      })
      .finally(() => this.#running.delete(job));
    this.#running.add(job);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort(new HoldfastError('shutting_down', 'The hub is shutting down.'));
    await Promise.all(this.#running);
  }
}
