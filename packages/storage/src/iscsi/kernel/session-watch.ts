import { HoldfastError } from '@holdfast/contract/errors';
import { ReservedByAnother } from '../initiator/sense.ts';

export interface SessionWatchOptions {
  /** What the kernel says about the session, `LOGGED_IN` when it is sound; undefined when it is gone. */
  state: () => Promise<string | undefined>;
  /** Looks after the reservation; called while the session is sound. @throws ReservedByAnother */
  keepFence: () => Promise<void>;
  target: string;
  /** Milliseconds without a sound session after which it counts as lost. */
  stallMs: number;
  /** Milliseconds from one look to the next. */
  intervalMs: number;
}

/**
 * Follows a session of the kernel; sysfs tells no changes, so that it has to be asked. The kernel logs in again by
 * itself after a target was away, and knows nothing of a reservation, which the target may have forgotten meanwhile.
 */
export class SessionWatch implements Disposable {
  /** Settles when the LUN is given up. Never rejects. */
  readonly lost: Promise<HoldfastError>;
  readonly #options: SessionWatchOptions;
  readonly #losing = Promise.withResolvers<HoldfastError>();
  #timer: NodeJS.Timeout | undefined;
  #soundAt = performance.now();
  #isKeeping = false;
  #isLost = false;

  constructor(options: SessionWatchOptions) {
    this.#options = options;
    this.lost = this.#losing.promise;
    this.#timer = setInterval(() => void this.#look(), options.intervalMs);
    this.#timer.unref();
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #look(): Promise<void> {
    const { state, stallMs, target } = this.#options;
    if ((await state().catch(() => undefined)) === 'LOGGED_IN') {
      this.#soundAt = performance.now();
      await this.#keepFence();
    } else if (performance.now() - this.#soundAt >= stallMs) {
      const text = `The kernel has lost its session with ${target} for ${stallMs / 1000} s. Check the server and the network.`;
      this.#lose(new HoldfastError('backend_unavailable', text));
    }
  }

  async #keepFence(): Promise<void> {
    // A command to a target that goes away hangs in the kernel; one of them is enough.
    if (this.#isKeeping) return;
    this.#isKeeping = true;
    try {
      await this.#options.keepFence();
    } catch (error) {
      // Because the target is away again, which the state tells; only a fence of somebody else is final.
      if (error instanceof ReservedByAnother) this.#lose(error);
    } finally {
      this.#isKeeping = false;
    }
  }

  #lose(error: HoldfastError): void {
    if (this.#timer === undefined) return;
    this[Symbol.dispose]();
    this.#isLost = true;
    this.#losing.resolve(error);
  }
}
