import { HoldfastError } from '@holdfast/contract/errors';

export interface ServerWatchOptions {
  /** Asks the server for something that the kernel never remembers; ends or fails when it has answered. */
  ask: () => Promise<unknown>;
  /** How many answers the kernel has had from the server so far, where it tells. */
  answers: () => number | undefined;
  /** `server:/path`. */
  source: string;
  /** Milliseconds without an answer after which the server counts as dead. */
  timeLimitMs: number;
}

/**
 * Notices that the server of a mount answers no more. The kernel does so by itself only when the connection breaks:
 * NFSv4 never gives up a call while TCP is up, so that a server that hangs would hold every call for ever.
 */
export class ServerWatch implements Disposable {
  /** Settles when the server counts as dead. Never rejects. */
  readonly lost: Promise<HoldfastError>;
  readonly #options: ServerWatchOptions;
  readonly #losing = Promise.withResolvers<HoldfastError>();
  readonly #timer: NodeJS.Timeout;
  #answers: number | undefined;
  #answeredAt = performance.now();
  #isAsking = false;

  constructor(options: ServerWatchOptions) {
    this.#options = options;
    this.lost = this.#losing.promise;
    this.#answers = options.answers();
    this.#timer = setInterval(() => this.#look(), options.timeLimitMs / 4);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { answers, source, timeLimitMs } = this.#options;
    const now = answers();
    // A question may wait behind calls that take long, each of which is answered: that is a sign of life too.
    if (now !== this.#answers || !this.#isAsking) this.#answeredAt = performance.now();
    this.#answers = now;
    if (performance.now() - this.#answeredAt >= timeLimitMs) {
      this[Symbol.dispose]();
      const text = `The NFS server of ${source} has not answered for ${timeLimitMs / 1000} s. Check that it is alive.`;
      this.#losing.resolve(new HoldfastError('backend_unavailable', text));
      return;
    }
    if (!this.#isAsking) void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    try {
      await this.#options.ask();
    } catch {
      // The kernel has given up by itself, and told the calls.
    } finally {
      this.#isAsking = false;
    }
  }
}
