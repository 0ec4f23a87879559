import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { Operation } from '@holdfast/catalog/operations';
import { HoldfastError } from '@holdfast/contract/errors';
import type { VerifyReport } from '@holdfast/contract/files';
import type { StorageBackend, StorageEntry } from '@holdfast/storage/backend';
import type { Backends } from '../backends/backends.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Operations, RunningOperation } from '../operations.ts';
import type { Checksums } from './checksums.ts';
import { describeFailure, walkFiles } from './walk.ts';

const MOST_LISTED = 1000;
const PROGRESS_EVERY_MS = 1000;

/** Hashes files again and reports where the bytes are not what their record says. */
export class Verification {
  readonly #backends: Backends;
  readonly #checksums: Checksums;
  readonly #operations: Operations;
  readonly #jobs: Jobs;

  constructor(options: { backends: Backends; checksums: Checksums; operations: Operations; jobs: Jobs }) {
    this.#backends = options.backends;
    this.#checksums = options.checksums;
    this.#operations = options.operations;
    this.#jobs = options.jobs;
  }

  /** Starts verifying a file, or a folder; the operation's details become the report. @throws HoldfastError when the path is not there */
  async start(
    backendId: string,
    path: BackendPath,
    options: { recursive: boolean; actor: string },
  ): Promise<Operation> {
    const { storage } = this.#backends.get(backendId);
    await storage.stat(path);
    const report = emptyReport(path, options.recursive);
    const running = await this.#operations.start({
      operation: 'verify',
      actor: options.actor,
      backendId,
      file: path,
      details: { ...report },
    });
    this.#jobs.spawn(`verification of ${path}`, (signal) =>
      this.#run(running, backendId, storage, path, report, signal),
    );
    return running.row;
  }

  async #run(
    running: RunningOperation,
    backendId: string,
    storage: StorageBackend,
    path: BackendPath,
    report: VerifyReport,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      let notedAt = Date.now();
      for await (const entry of walkFiles(storage, path, { recursive: report.recursive, signal })) {
        await this.#check(backendId, storage, entry, report, signal);
        if (Date.now() - notedAt < PROGRESS_EVERY_MS) continue;
        notedAt = Date.now();
        await running.progress({ bytes: report.bytes_checked, details: { ...report } });
      }
    } catch (error) {
      await running.finish({ bytes: report.bytes_checked, details: { ...report }, error });
      return;
    }
    await running.finish({ bytes: report.bytes_checked, details: { ...report }, ...outcome(report) });
  }

  async #check(
    backendId: string,
    storage: StorageBackend,
    entry: StorageEntry,
    report: VerifyReport,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await using file = await storage.open(entry.path, { signal });
      const record = await this.#checksums.known(backendId, file.entry);
      const actual =
        record === null
          ? (await this.#checksums.compute(backendId, storage, entry.path, signal)).sha256
          : await this.#checksums.hash(file, signal);
      report.files_checked += 1;
      report.bytes_checked += file.entry.size;
      if (record === null || record.sha256 === actual) return;
      const now = await file.revalidate();
      if (now.validator !== file.entry.validator) return; // changed while it was read: a new version, not drift
      report.drifted_count += 1;
      if (report.drifted.length < MOST_LISTED) {
        report.drifted.push({
          path: entry.path,
          expected_sha256: record.sha256,
          actual_sha256: actual ?? '0'.repeat(64),
        });
      }
    } catch (error) {
      signal.throwIfAborted();
      report.failed_count += 1;
      const { code, detail } = describeFailure(error);
      if (report.failed.length < MOST_LISTED) report.failed.push({ path: entry.path, code, detail });
    }
  }
}

function emptyReport(path: string, recursive: boolean): VerifyReport {
  return {
    path,
    recursive,
    files_checked: 0,
    bytes_checked: 0,
    drifted_count: 0,
    drifted: [],
    failed_count: 0,
    failed: [],
  };
}

function outcome(report: VerifyReport): { error?: HoldfastError } {
  if (report.drifted_count > 0) {
    return {
      error: new HoldfastError(
        'checksum_mismatch',
        `${report.drifted_count} of ${report.files_checked} files no longer have the bytes they were stored with.`,
      ),
    };
  }
  if (report.failed_count > 0) {
    return {
      error: new HoldfastError('backend_unavailable', `${report.failed_count} files could not be read.`),
    };
  }
  return {};
}
