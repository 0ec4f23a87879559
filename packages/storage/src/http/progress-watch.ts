/**
 * The time limit of one exchange with a server: it runs only while the server has to do something, and starts anew
 * with every sign of life. Its signal also follows the caller's.
 */
export class ProgressWatch implements Disposable {
  readonly limitMs: number;
  /** Fires when the limit is over or the caller gives up. */
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isExpired = false;

  constructor(limitMs: number, caller?: AbortSignal) {
    this.limitMs = limitMs;
    this.signal = this.#controller.signal;
    this.#caller = caller;
    if (caller?.aborted === true) this.#controller.abort();
    else caller?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Whether the server let the limit pass. */
  get isExpired(): boolean {
    return this.#isExpired;
  }

  /** The server has to answer, or to take what was sent: the clock starts anew. */
  serversTurn(): void {
    this.#timer ??= setTimeout(this.#onTimeout, this.limitMs);
    this.#timer.refresh();
  }

  /** Nothing is asked of the server until further notice. */
  ownTurn(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  [Symbol.dispose](): void {
    this.ownTurn();
    this.#caller?.removeEventListener('abort', this.#onAbort);
  }

  readonly #onAbort = (): void => this.#controller.abort();

  readonly #onTimeout = (): void => {
    this.#isExpired = true;
    this.#controller.abort();
  };
}
