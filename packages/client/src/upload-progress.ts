/** How far an upload is. Sizes in bytes. */
export interface UploadProgress {
  phase: 'hashing' | 'sending' | 'finishing';
  bytes: number;
  totalBytes: number;
  chunks: number;
  totalChunks: number;
  /** Smoothed over the last seconds; what an earlier attempt had sent does not count. */
  bytesPerSecond: number;
  /** Null while no rate is known. */
  etaSeconds: number | null;
}

/** After this many milliseconds an old rate counts for 1/e of what it did. */
const MEMORY_MS = 5000;

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

  /** A chunk that has arrived now. */
  sent(bytes: number): void {
    this.found(bytes);
    const now = this.#now();
    const elapsed = Math.max(0, now - this.#lastAt);
    this.#lastAt = now;
    const kept = Math.exp(-elapsed / MEMORY_MS);
    this.#recentBytes = this.#recentBytes * kept + bytes;
    this.#recentMs = this.#recentMs * kept + elapsed;
  }

  read(): UploadProgress {
    const { totalBytes } = this.#totals;
    const bytesPerSecond = this.#recentMs > 0 ? (this.#recentBytes * 1000) / this.#recentMs : 0;
    const left = totalBytes - this.#bytes;
    const etaSeconds = left === 0 ? 0 : bytesPerSecond > 0 ? left / bytesPerSecond : null;
    return {
      phase: this.#phase,
      bytes: this.#bytes,
      chunks: this.#chunks,
      ...this.#totals,
      bytesPerSecond,
      etaSeconds,
    };
  }
}
