import type { Logger } from 'pino';
import type { Operation } from '@holdfast/catalog/operations';
import { HoldfastError } from '@holdfast/contract/errors';
import type { CollectionReport } from '@holdfast/contract/host-files';
import type { Jobs } from '../jobs/jobs.ts';
import type { Operations, RunningOperation } from '../operations.ts';
import { emptyReport, type Collection } from './collection.ts';
import type { Leftovers } from './leftovers.ts';
import type { VaultBackend, VaultBackends } from './vault-backends.ts';

const PROGRESS_EVERY_MS = 1000;

/** When collections run, and how they show: one at a time, as operations. */
export class Collector {
  readonly #collection: Collection;
  readonly #leftovers: Leftovers;
  readonly #backends: VaultBackends;
  readonly #operations: Operations;
  readonly #jobs: Jobs;
  readonly #logger: Logger;
  #running = false;
  /** The sweep at start; a collection begins after it. */
  #swept: Promise<void> = Promise.resolve();

  constructor(options: {
    collection: Collection;
    leftovers: Leftovers;
    backends: VaultBackends;
    operations: Operations;
    jobs: Jobs;
    logger: Logger;
  }) {
    this.#collection = options.collection;
    this.#leftovers = options.leftovers;
    this.#backends = options.backends;
    this.#operations = options.operations;
    this.#jobs = options.jobs;
    this.#logger = options.logger;
  }

  /** @throws HoldfastError `conflict` while one runs */
  async start({ dryRun, actor }: { dryRun: boolean; actor: string }): Promise<Operation> {
    if (this.#running) {
      throw new HoldfastError(
        'conflict',
        'A collection is running already; follow it at GET /api/v1/operations?operation=delete, and ask again when it has ended.',
      );
    }
    this.#running = true;
    const report = emptyReport(dryRun);
    let running: RunningOperation;
    try {
      running = await this.#operations.start({ operation: 'delete', actor, details: { ...report } });
    } catch (error) {
      this.#running = false;
      throw error;
    }
    this.#jobs.spawn('collection of the vault', async (signal) => {
      try {
        await this.#swept;
        await this.#collection.run(report, { dryRun, signal, onProgress: noting(running) });
        await running.finish({ bytes: bytesOf(report), details: { ...report }, ...outcome(report) });
      } catch (error) {
        await running.finish({ bytes: bytesOf(report), details: { ...report }, error });
      } finally {
        this.#running = false;
      }
    });
    return running.row;
  }

  async runHourly(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    const ended = Promise.withResolvers<void>();
    const startedAt = new Date();
    const report = emptyReport(false);
    this.#jobs.spawn('hourly collection of the vault', async (signal) => {
      let failure: { error?: unknown };
      try {
        await this.#swept;
        await this.#collection.run(report, { dryRun: false, signal, onProgress: async () => {} });
        failure = outcome(report);
      } catch (error) {
        failure = { error };
      } finally {
        this.#running = false;
        ended.resolve();
      }
      const didAnything = report.purged_files + report.removed_contents + report.orphans > 0;
      if (!didAnything && failure.error === undefined) return;
      this.#operations.finish({ operation: 'delete', actor: null }, startedAt, {
        bytes: bytesOf(report),
        details: { ...report },
        ...failure,
      });
    });
    await ended.promise;
  }

  /** Resolves when the interrupted removals are ended; the vaults are looked through in the background. */
  async sweep(): Promise<void> {
    const removals = await this.#collection.endInterrupted(emptyReport(false));
    const ended = Promise.withResolvers<void>();
    this.#swept = ended.promise;
    this.#jobs.spawn('sweep of the vaults', async (signal) => {
      try {
        for (const backend of this.#backends.list()) {
          const ofBackend = removals.filter(({ backendId }) => backendId === backend.id);
          await this.#sweepOne(backend, ofBackend.length, signal);
        }
      } finally {
        ended.resolve();
      }
    });
  }

  async #sweepOne(backend: VaultBackend, removalsEnded: number, signal: AbortSignal): Promise<void> {
    const left = await this.#leftovers.clear(backend, { dryRun: false, signal });
    if (removalsEnded + left.found === 0) return;
    this.#logger.warn(
      { backend: backend.name, removals_ended: removalsEnded, files_removed: left.found, bytes: left.bytes },
      'swept its vault after an interruption',
    );
  }
}

/** Writes the report into the operation, once a second at most. */
function noting(running: RunningOperation): (report: CollectionReport) => Promise<void> {
  let notedAt = Date.now();
  return async (report) => {
    if (Date.now() - notedAt < PROGRESS_EVERY_MS) return;
    notedAt = Date.now();
    await running.progress({ bytes: bytesOf(report), details: { ...report } });
  };
}

function bytesOf(report: CollectionReport): number {
  return report.removed_bytes + report.orphan_bytes;
}

function outcome({ failed }: CollectionReport): { error?: HoldfastError } {
  if (failed.length === 0) return {};
  return {
    error: new HoldfastError(
      'backend_unavailable',
      `${failed.length} contents that nothing refers to could not be removed; the next collection tries again.`,
    ),
  };
}
