import { setTimeout as delay } from 'node:timers/promises';
import { ROOT } from '@holdfast/bytes/backend-path';
import type { Operation } from '@holdfast/catalog/operations';
import type { BackfillReport } from '@holdfast/contract/checksums';
import { HoldfastError } from '@holdfast/contract/errors';
import type { StorageEntry } from '@holdfast/storage/backend';
import type { Backends } from '../backends/backends.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Operations, RunningOperation } from '../operations.ts';
import type { Checksums } from './checksums.ts';

export interface BackfillRequest {
  backendId?: string | undefined;
  batchSize: number;
  dryRun: boolean;
  /** Megabits a second. */
  rateLimitMbps?: number | undefined;
}

/** What a running backfill keeps in its operation: the report, and what it was asked for. */
type BackfillDetails = BackfillReport & {
  kind: 'backfill';
  all_backends: boolean;
  batch_size: number;
  rate_limit_mbps: number | null;
  /** The listing's cursor after `last_path`. */
  cursor: string | null;
};

/** Computes the checksums that are missing. Goes on after a restart from the last path it noted. */
export class Backfill {
  readonly #backends: Backends;
  readonly #checksums: Checksums;
  readonly #operations: Operations;
  readonly #jobs: Jobs;
  #running = false;

  constructor(options: { backends: Backends; checksums: Checksums; operations: Operations; jobs: Jobs }) {
    this.#backends = options.backends;
    this.#checksums = options.checksums;
    this.#operations = options.operations;
    this.#jobs = options.jobs;
  }

  /** @throws HoldfastError `backend_not_found`, `conflict` while one is running */
  async start(request: BackfillRequest, actor: string): Promise<Operation> {
    if (this.#running)
      throw new HoldfastError(
        'conflict',
        'A backfill is already running; see GET /api/v1/operations?operation=sync.',
      );
    if (request.backendId !== undefined) this.#backends.get(request.backendId);
    this.#running = true;
    try {
      const details: BackfillDetails = {
        kind: 'backfill',
        dry_run: request.dryRun,
        files_seen: 0,
        files_missing: 0,
        files_hashed: 0,
        bytes_hashed: 0,
        files_failed: 0,
        backend_id: request.backendId ?? null,
        last_path: null,
        all_backends: request.backendId === undefined,
        batch_size: request.batchSize,
        rate_limit_mbps: request.rateLimitMbps ?? null,
        cursor: null,
      };
      const running = await this.#operations.start({
        operation: 'sync',
        actor,
        backendId: request.backendId ?? null,
        details: { ...details },
      });
      this.#spawn(running, details);
      return running.row;
    } catch (error) {
      this.#running = false;
      throw error;
    }
  }

  /** Goes on with a backfill that a restart interrupted. @returns whether the row was one */
  resume(row: Operation): boolean {
    if (!isBackfill(row.details) || this.#running) return false;
    this.#running = true;
    this.#spawn(this.#operations.resume(row), row.details);
    return true;
  }

  #spawn(running: RunningOperation, details: BackfillDetails): void {
    this.#jobs.spawn('checksum backfill', async (signal) => {
      try {
        await this.#run(running, details, signal);
        await running.finish({ bytes: details.bytes_hashed, details: { ...details } });
      } catch (error) {
        if (signal.aborted) await running.progress({ bytes: details.bytes_hashed, details: { ...details } }); // resumed at the next start
        else await running.finish({ bytes: details.bytes_hashed, details: { ...details }, error });
      } finally {
        this.#running = false;
      }
    });
  }

  async #run(running: RunningOperation, details: BackfillDetails, signal: AbortSignal): Promise<void> {
    const ids = this.#backends.list().map(({ row }) => row.id);
    const first = details.backend_id === null ? 0 : ids.indexOf(details.backend_id);
    const todo = details.all_backends
      ? ids.slice(Math.max(first, 0))
      : ids.filter((id) => id === details.backend_id);
    for (const id of todo) {
      if (details.backend_id !== id)
        [details.backend_id, details.last_path, details.cursor] = [id, null, null];
      const { storage } = this.#backends.get(id);
      do {
        const page = await storage.list(ROOT, {
          recursive: true,
          limit: details.batch_size,
          signal,
          ...(details.cursor === null ? {} : { cursor: details.cursor }),
        });
        await this.#batch(
          id,
          page.entries.filter((entry) => entry.type === 'file'),
          details,
          signal,
        );
        details.cursor = page.nextCursor ?? null;
        await running.progress({ bytes: details.bytes_hashed, details: { ...details } });
      } while (details.cursor !== null);
    }
  }

  async #batch(
    backendId: string,
    entries: StorageEntry[],
    details: BackfillDetails,
    signal: AbortSignal,
  ): Promise<void> {
    // A page that was interrupted is listed again: what it had done is behind its last path.
    const done = entries.findIndex((entry) => entry.path === details.last_path);
    const todo = entries.slice(done + 1);
    const known = await this.#checksums.knownOf(backendId, todo);
    for (const entry of todo) {
      signal.throwIfAborted();
      const startedAt = performance.now();
      const isMissing = !known.has(entry.path);
      if (isMissing && !details.dry_run) await this.#hash(backendId, entry, details, signal);
      details.files_seen += 1;
      if (isMissing) details.files_missing += 1;
      details.last_path = entry.path;
      if (isMissing && !details.dry_run) await pace(entry.size, details.rate_limit_mbps, startedAt, signal);
    }
  }

  async #hash(
    backendId: string,
    entry: StorageEntry,
    details: BackfillDetails,
    signal: AbortSignal,
  ): Promise<void> {
    const { storage } = this.#backends.get(backendId);
    try {
      await this.#checksums.compute(backendId, storage, entry.path, signal);
      details.files_hashed += 1;
      details.bytes_hashed += entry.size;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof HoldfastError)) throw error;
      details.files_failed += 1;
    }
  }
}

/** Waits until `bytes` are due at the rate in megabits a second, since `startedAt` of performance.now(). */
async function pace(
  bytes: number,
  rateMbps: number | null,
  startedAt: number,
  signal: AbortSignal,
): Promise<void> {
  if (rateMbps === null) return;
  const due = (bytes * 8) / (rateMbps * 1000); // bits ÷ (megabits a second) in milliseconds
  const spent = performance.now() - startedAt;
  if (due > spent) await delay(due - spent, undefined, { signal });
}

function isBackfill(details: unknown): details is BackfillDetails {
  return typeof details === 'object' && details !== null && 'kind' in details && details.kind === 'backfill';
}
