/** Calls back once after so many ms; the result cancels it. */
export type SetTimer = (callback: () => void, delayMs: number) => () => void;

const MAX_DELAY_MS = 2 ** 31 - 1;

/** The real timer. It does not keep the process alive: what it serves has sockets that do. */
export function setRealTimer(callback: () => void, delayMs: number): () => void {
  const timer = setTimeout(callback, Math.min(MAX_DELAY_MS, Math.ceil(delayMs))).unref();
  return () => clearTimeout(timer);
}

/** One timer for the earliest of many times. */
export class Alarm implements Disposable {
  readonly #ring: () => void;
  readonly #setTimer: SetTimer;
  #at = Infinity;
  #cancel: (() => void) | undefined;

  constructor(ring: () => void, setTimer: SetTimer) {
    this.#ring = ring;
    this.#setTimer = setTimer;
  }

  /** Rings at that time (ms of the caller's clock) at the latest, and perhaps before it. */
  by(at: number, now: number): void {
    // A timer that rings too early costs less than one that is set anew for each block.
    if (at >= this.#at) return;
    this.#cancel?.();
    this.#at = at;
    this.#cancel = this.#setTimer(
      () => {
        this.#at = Infinity;
        this.#cancel = undefined;
        this.#ring();
      },
      Math.max(0, at - now),
    );
  }

  [Symbol.dispose](): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#at = Infinity;
  }
}
