/** How far a download is. */
export interface DownloadProgress {
  phase: 'receiving' | 'finishing';
  /** Bytes that are there, those of an earlier attempt included. */
  bytes: number;
  totalBytes: number;
  /** Over the last seconds; 0 at the start. */
  bytesPerSecond: number;
  /** Null while it cannot be told. */
  etaSeconds: number | null;
}

/** At most so often progress is reported, but for changes of the phase. */
const REPORT_EVERY_MS = 100;
/** Time constant of the smoothed speed. */
const SMOOTHING_MS = 3000;

/** Makes reports out of counted bytes: the speed is an exponential average over about 3 s. */
export class ProgressMeter {
  readonly #totalBytes: number;
  readonly #report: ((progress: DownloadProgress) => void) | undefined;
  readonly #now: () => number;
  #bytes: number;
  #speed = 0;
  #reportedAt: number;
  #reportedBytes: number;

  /** @param now milliseconds of a clock that never goes back */
  constructor(
    totalBytes: number,
    bytes: number,
    report: ((progress: DownloadProgress) => void) | undefined,
    now: () => number = () => performance.now(),
  ) {
    this.#totalBytes = totalBytes;
    this.#bytes = bytes;
    this.#reportedBytes = bytes;
    this.#report = report;
    this.#now = now;
    this.#reportedAt = now();
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    const elapsed = this.#now() - this.#reportedAt;
    if (elapsed < REPORT_EVERY_MS) return;
    const speed = ((this.#bytes - this.#reportedBytes) / elapsed) * 1000;
    const weight = this.#speed === 0 ? 1 : 1 - Math.exp(-elapsed / SMOOTHING_MS);
    this.#speed += (speed - this.#speed) * weight;
    this.tell('receiving');
  }

  tell(phase: DownloadProgress['phase']): void {
    this.#reportedAt = this.#now();
    this.#reportedBytes = this.#bytes;
    const left = this.#totalBytes - this.#bytes;
    this.#report?.({
      phase,
      bytes: this.#bytes,
      totalBytes: this.#totalBytes,
      bytesPerSecond: Math.round(this.#speed),
      etaSeconds: left === 0 ? 0 : this.#speed > 0 ? left / this.#speed : null,
    });
  }
}
