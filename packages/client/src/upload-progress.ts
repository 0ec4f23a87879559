/** How far an upload is. Sizes in bytes. */
export interface UploadProgress {
  phase: 'hashing' | 'sending' | 'finishing';
  /** What has arrived, and what is on its way; less than before when a connection broke. */
  bytes: number;
  totalBytes: number;
  chunks: number;
  totalChunks: number;
  /** Smoothed over the last seconds; what an earlier attempt had sent does not count. */
  bytesPerSecond: number;
  /** Null while no rate is known, as in the first second: the system takes the first bytes at once, whatever the network does. */
  etaSeconds: number | null;
}

/** After this many milliseconds an old rate counts for 1/e of what it did. */
const MEMORY_MS = 5000;
/** Milliseconds before a rate is good enough to tell when it ends. */
const MEASURED_MS = 1000;

/** Counts what has arrived and tells the rate: an exponentially weighted mean over time (τ = 5 s), free of start-up bias. */
export class ProgressMeter {
  readonly #totals: Pick<UploadProgress, 'totalBytes' | 'totalChunks'>;
  readonly #now: () => number;
  #phase: UploadProgress['phase'] = 'sending';
  #bytes = 0;
  #chunks = 0;
  #recentBytes = 0;
  #recentMs = 0;
  #lastAt: number;

  /** @param now milliseconds of a clock that never goes back */
  constructor(
    totals: Pick<UploadProgress, 'totalBytes' | 'totalChunks'>,
    now: () => number = () => performance.now(),
  ) {
    this.#totals = totals;
    this.#now = now;
    this.#lastAt = now();
  }

  set phase(phase: UploadProgress['phase']) {
    this.#phase = phase;
  }

  /** A chunk that had arrived before. */
  found(bytes: number): void {
    this.#bytes += bytes;
    this.#chunks += 1;
  }

  /** Bytes that went to the network; negative: that were lost there, which says nothing about the rate. */
  moved(bytes: number): void {
    this.#bytes += bytes;
    if (bytes < 0) return;
    const now = this.#now();
    const elapsed = Math.max(0, now - this.#lastAt);
    this.#lastAt = now;
    const kept = Math.exp(-elapsed / MEMORY_MS);
    this.#recentBytes = this.#recentBytes * kept + bytes;
    this.#recentMs = this.#recentMs * kept + elapsed;
  }

  /** A chunk has arrived whose bytes have been counted as moved. */
  arrived(): void {
    this.#chunks += 1;
  }

  read(): UploadProgress {
    const { totalBytes } = this.#totals;
    const bytesPerSecond = this.#recentMs > 0 ? (this.#recentBytes * 1000) / this.#recentMs : 0;
    // A chunk that is found at the hub while it is on its way counts twice for a moment.
    const bytes = Math.min(totalBytes, this.#bytes);
    const left = totalBytes - bytes;
    const isKnown = bytesPerSecond > 0 && this.#recentMs >= MEASURED_MS;
    const etaSeconds = left === 0 ? 0 : isKnown ? left / bytesPerSecond : null;
    return {
      phase: this.#phase,
      bytes,
      chunks: this.#chunks,
      ...this.#totals,
      bytesPerSecond,
      etaSeconds,
    };
  }
}
