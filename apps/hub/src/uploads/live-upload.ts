import { ChunkSet } from '@holdfast/bytes/chunk-set';
import type { ChunkPlan } from '@holdfast/bytes/chunk-plan';
import type { HoldfastError } from '@holdfast/contract/errors';
import type { StagedUpload } from '@holdfast/storage/contents';

/** Chunks of this hub that are committed and not noted yet look like another hub's: not more often than this. */
const LOOK_EVERY_MS = 5000;

/** One who writes staged bytes. Disposing tells that it has ended. */
export interface Writer extends Disposable {
  /** Fires, with the error to end with, when no more may be written. */
  readonly signal: AbortSignal;
}

/** How an upload stands that this process is working on. What counts is in the catalog; this only saves asking again. */
export class LiveUpload {
  readonly staged: StagedUpload;
  readonly #plan: ChunkPlan | null;
  readonly #chunks: ChunkSet | null;
  readonly #writers = new Set<AbortController>();
  readonly #ended = new AbortController();
  #closed: HoldfastError | undefined;
  #lookedAt = performance.now();
  readonly #whenQuiet: (() => void)[] = [];

  /** @param plan of an upload in chunks; null for tus */
  constructor(staged: StagedUpload, plan: ChunkPlan | null, totalChunks: number) {
    this.staged = staged;
    this.#plan = plan;
    this.#chunks = plan === null ? null : new ChunkSet(totalChunks);
  }

  /** Fires when the upload has ended: whatever still works on its bytes must stop. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /**
   * Finds out now and then about chunks that came to other hubs, so that the hashing does not stop before them.
   * @param receivedChunks how many the catalog has
   */
  async followOthers(receivedChunks: number, look: () => Promise<[number, number][]>): Promise<void> {
    if (this.#chunks === null || receivedChunks <= this.#chunks.size) return;
    const now = performance.now();
    if (now - this.#lookedAt < LOOK_EVERY_MS) return;
    this.#lookedAt = now;
    this.noteChunks(await look());
  }

  /** Notes chunks that are committed, so that the hashing can follow. */
  noteChunks(ranges: Iterable<readonly [first: number, last: number]>): void {
    if (this.#chunks === null || this.#plan === null) return;
    const before = this.#chunks.prefix;
    for (const [first, last] of ranges) for (let num = first; num <= last; num += 1) this.#chunks.add(num);
    const { prefix } = this.#chunks;
    if (prefix > before) this.staged.prefixGrew(Math.min(prefix * this.#plan.chunkSize, this.#plan.size));
  }

  /** Notes that all bytes up to an offset are committed. */
  noteOffset(offset: number): void {
    this.staged.prefixGrew(offset);
  }

  /** @throws the error that it was closed with */
  write(): Writer {
    if (this.#closed !== undefined) throw this.#closed;
    const controller = new AbortController();
    this.#writers.add(controller);
    return {
      signal: controller.signal,
      [Symbol.dispose]: () => {
        this.#writers.delete(controller);
        if (this.#writers.size === 0) for (const resolve of this.#whenQuiet.splice(0)) resolve();
      },
    };
  }

  /** Lets nobody write any more, asks those who do to stop, and waits until they have. */
  async close(reason: HoldfastError): Promise<void> {
    this.#closed ??= reason;
    for (const writer of this.#writers) writer.abort(reason);
    if (this.#writers.size === 0) return;
    await new Promise<void>((resolve) => this.#whenQuiet.push(resolve));
  }

  /** Lets writers in again, after a completion that may be tried again. */
  reopen(): void {
    if (!this.#ended.signal.aborted) this.#closed = undefined;
  }

  /** Closes it for good, and stops whatever else works on its bytes. */
  async end(reason: HoldfastError): Promise<void> {
    this.#ended.abort(reason);
    this.#closed = reason;
    await this.close(reason);
  }
}
