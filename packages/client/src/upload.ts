import { chunkCount, chunkPlace } from '@holdfast/bytes/chunk-plan';
import type { ChunkPlan } from '@holdfast/bytes/chunk-plan';
import { ChunkSet } from '@holdfast/bytes/chunk-set';
import type { ChunkRange } from '@holdfast/bytes/chunk-set';
import { isHoldfastError, type HoldfastError } from '@holdfast/contract/errors';
import { fetchChunkSender } from './chunk-sender.ts';
import { isPassing } from './client.ts';
import type { HubClient } from './client.ts';
import { addChunkSums } from './chunk-sums.ts';
import type { ChunkSums } from './chunk-sums.ts';
import { sha256Of } from './digest.ts';
import { Patience } from './patience.ts';
import { sendChunks } from './send-chunks.ts';
import type { Initiate, UploadOptions, UploadOutcome } from './upload-options.ts';
import { planChunks } from './upload-plan.ts';
import { sessionAsFound } from './upload-session.ts';
import type { Session } from './upload-session.ts';
import { ProgressMeter } from './upload-progress.ts';
import { changed, readSlice } from './upload-source.ts';
import type { UploadSource } from './upload-source.ts';

const DEFAULT_PATIENCE_MS = 10 * 60_000;

/**
 * Sends a file in chunks, several at once, and goes on after a cut network, a restarted hub, or an earlier run that its journal
 * remembers. Memory: the chunks in flight.
 * @throws HoldfastError as the hub refuses; `conflict` when the file changes meanwhile; `unreachable` when the patience is used up;
 *   `cancelled`, after which the upload can be gone on with
 */
export async function upload(
  client: HubClient,
  source: UploadSource,
  options: UploadOptions,
): Promise<UploadOutcome> {
  const ended = new AbortController();
  const signal =
    options.signal === undefined ? ended.signal : AbortSignal.any([options.signal, ended.signal]);
  try {
    return await new RunningUpload(client, source, options, signal).run();
  } finally {
    ended.abort();
  }
}

class RunningUpload {
  readonly #client: HubClient;
  readonly #source: UploadSource;
  readonly #options: UploadOptions;
  readonly #signal: AbortSignal;
  readonly #patience: Patience;
  readonly #key: string;

  constructor(client: HubClient, source: UploadSource, options: UploadOptions, signal: AbortSignal) {
    this.#client = client;
    this.#source = source;
    this.#options = options;
    this.#signal = signal;
    const { patienceMs = DEFAULT_PATIENCE_MS, onWaiting } = options;
    this.#patience = new Patience({ patienceMs, signal, onWaiting });
    const to = Object.entries(options.to).toSorted(([a], [b]) => (a < b ? -1 : 1));
    this.#key = JSON.stringify([client.url, source.identity, to]);
  }

  async run(): Promise<UploadOutcome> {
    const limits = await this.#try(() => {
      const { backend_id } = this.#options.to;
      return this.#client.call('getUploadLimits', {
        query: backend_id === undefined ? {} : { backend_id },
        ...this.#once(),
      });
    });
    const started = (await this.#resumed()) ?? (await this.#begun(planChunks(this.#source.size, limits)));
    if ('file_id' in started) return started;
    const { plan, received } = started;
    const meter = new ProgressMeter({ totalBytes: plan.size, totalChunks: received.total });
    for (let num = 0; num < received.total; num += 1)
      if (received.has(num)) meter.found(chunkPlace(plan, num)?.length ?? 0);
    const report = (): void => this.#options.onProgress?.(meter.read());
    report();
    const sums = await this.#transferred(started, limits.preferred_parallel_chunks, meter, report);
    meter.phase = 'finishing';
    report();
    return await this.#finish(started, sums);
  }

  /**
   * Sends what is missing. Unless the sum of the whole is known, what the hub has already is hashed meanwhile.
   * @returns the sums of the chunks that were sent, or of all of them
   */
  async #transferred(
    { uploadId, plan, received, sha256 }: Session,
    preferred: number,
    meter: ProgressMeter,
    report: () => void,
  ): Promise<ChunkSums> {
    const { parallel = preferred } = this.#options;
    const sums: ChunkSums = new Map();
    if (sha256 !== undefined && received.total === 1) sums.set(0, sha256);
    const earlier = sha256 === undefined ? everyIn(received.ranges()) : [];
    const hashing = { source: this.#source, plan, signal: this.#signal };
    const hashed = addChunkSums(sums, earlier, hashing);
    // It is awaited after the sending, which may fail before.
    hashed.catch(() => undefined);
    try {
      await sendChunks({
        sender: this.#options.sender ?? fetchChunkSender(this.#client, this.#source),
        ...{ source: this.#source, patience: this.#patience, signal: this.#signal },
        ...{ uploadId, plan, received, sums },
        parallel: Math.max(1, Math.min(parallel, preferred)),
        onMoved: (bytes) => {
          meter.moved(bytes);
          if (bytes > 0) report();
        },
        onArrived: () => {
          meter.arrived();
          report();
        },
        onFound: (bytes) => {
          meter.found(bytes);
          report();
        },
        refresh: async () => (await this.#session(uploadId)).received_chunks,
      });
      meter.phase = 'hashing';
      report();
      await hashed;
      // Of a chunk that had arrived although its answer was lost, only the hub knows the sum.
      if (sha256 === undefined) await addChunkSums(sums, everyIn(received.ranges()), hashing);
      return sums;
    } catch (error) {
      if (!isHoldfastError(error, 'cancelled')) await this.#unchanged(uploadId);
      throw error;
    }
  }

  /** The earlier session of the same file, when it can be gone on with. */
  async #resumed(): Promise<Session | undefined> {
    const entry = await this.#options.journal?.get(this.#key);
    if (entry === undefined || entry.size !== this.#source.size) return undefined;
    try {
      const found = sessionAsFound(await this.#session(entry.upload_id), entry);
      return found === undefined ? undefined : { ...found, sha256: this.#options.sha256 };
    } catch (error) {
      if (isHoldfastError(error, 'upload_not_found') || isHoldfastError(error, 'upload_expired'))
        return undefined;
      throw error;
    }
  }

  async #forget(): Promise<void> {
    await this.#options.journal?.delete(this.#key);
  }

  async #begun(plan: ChunkPlan): Promise<Session | UploadOutcome> {
    const { to, mtime, mode } = this.#options;
    let { sha256 } = this.#options;
    // What fits into one chunk is hashed before it is sent: the hub may have it already.
    if (plan.size <= plan.chunkSize)
      sha256 ??= (await sha256Of(await readSlice(this.#source, 0, plan.size))).hex;
    const total = chunkCount(plan);
    const body: Initiate = {
      ...to,
      file_size: plan.size,
      chunk_size: plan.chunkSize,
      total_chunks: total,
      ...(sha256 === undefined ? {} : { sha256 }),
      ...(mtime === undefined ? {} : { mtime }),
      ...(mode === undefined ? {} : { mode }),
    };
    // Tried again although it is no idempotent call: a session whose answer was lost expires by itself.
    const answer = await this.#try(() => this.#client.call('initiateUpload', { body, ...this.#once() }));
    if (answer.deduplicated) {
      await this.#unchanged();
      return { ...answer, file_size: plan.size };
    }
    const uploadId = answer.upload_id;
    await this.#options.journal?.put(this.#key, {
      upload_id: uploadId,
      size: plan.size,
      chunk_size: plan.chunkSize,
    });
    return { uploadId, plan, received: new ChunkSet(total), sha256 };
  }

  async #finish({ uploadId, sha256 }: Session, sums: ChunkSums): Promise<UploadOutcome> {
    await this.#unchanged(uploadId);
    const parts = (): { chunk_num: number; etag: string }[] =>
      [...sums].map(([chunk_num, etag]) => ({ chunk_num, etag }));
    const body = sha256 === undefined ? { parts: parts() } : { sha256 };
    try {
      const params = { upload_id: uploadId };
      const done = await this.#try(() =>
        this.#client.call('completeUpload', { params, body, ...this.#once() }),
      );
      await this.#forget();
      return done;
    } catch (error) {
      if (isHoldfastError(error, 'checksum_mismatch')) {
        await this.#forget();
        await this.#unchanged();
      }
      if (isHoldfastError(error, 'chunk_conflict')) throw await this.#changed(uploadId);
      throw error;
    }
  }

  async #unchanged(uploadId?: string): Promise<void> {
    if ((await this.#source.isUnchanged?.()) === false) throw await this.#changed(uploadId);
  }

  /** A session of bytes that never belonged together is of no use to anybody. */
  async #changed(uploadId: string | undefined): Promise<HoldfastError> {
    await this.#forget();
    const error = changed(this.#source);
    if (uploadId === undefined) return error;
    try {
      await this.#client.call('abortUpload', { params: { upload_id: uploadId }, ...this.#once() });
    } catch (cause) {
      // It expires by itself.
      return changed(this.#source, cause);
    }
    return error;
  }

  async #session(uploadId: string) {
    const params = { upload_id: uploadId };
    return await this.#try(() => this.#client.call('getUpload', { params, ...this.#once() }));
  }

  #try<T>(work: () => Promise<T>): Promise<T> {
    return this.#patience.keepTrying(work, isPassing);
  }

  #once() {
    return { retry: false, signal: this.#signal };
  }
}

/** The numbers of ranges whose ends are both included. */
function* everyIn(ranges: readonly ChunkRange[]): Generator<number, void, void> {
  for (const [first, last] of ranges) for (let num = first; num <= last; num += 1) yield num;
}
