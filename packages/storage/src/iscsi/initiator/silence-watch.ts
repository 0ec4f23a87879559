export interface SilenceWatchOptions {
  /** Milliseconds of silence after which the other side counts as dead. */
  limitMs: number;
  /** Whether anything is asked for: silence counts only then. */
  isBusy: () => boolean;
  /** Called once after half of the limit: asks for a sign of life. */
  ping: () => void;
  onDead: () => void;
}

/** Tells a dead peer from one that has nothing to say. */
export class SilenceWatch {
  readonly #options: SilenceWatchOptions;
  readonly #timer: NodeJS.Timeout;
  #heardAt = performance.now();
  #hasPinged = false;

  constructor(options: SilenceWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), options.limitMs / 8);
    this.#timer.unref();
  }

  /** Something came, or is asked for from now on. */
  heard(): void {
    this.#heardAt = performance.now();
    this.#hasPinged = false;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { limitMs, isBusy, ping, onDead } = this.#options;
    if (!isBusy()) return;
    const silentMs = performance.now() - this.#heardAt;
    if (silentMs >= limitMs) onDead();
    else if (silentMs >= limitMs / 2 && !this.#hasPinged) {
      this.#hasPinged = true;
      ping();
    }
  }
}
