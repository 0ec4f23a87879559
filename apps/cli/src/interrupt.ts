import { exitCodes } from './exit-codes.ts';

/** Ctrl-C, SIGTERM and SIGHUP: the first one asks the command to stop, the second one ends it at once. */
export class Interrupt implements Disposable {
  readonly #controller = new AbortController();
  readonly #onSignal = (): void => {
    if (this.#controller.signal.aborted) process.exit(exitCodes.interrupted);
    this.#controller.abort();
  };
  static readonly #signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

  constructor() {
    for (const name of Interrupt.#signals) process.on(name, this.#onSignal);
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    for (const name of Interrupt.#signals) process.off(name, this.#onSignal);
  }
}
