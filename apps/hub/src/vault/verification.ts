import { setTimeout as delay } from 'node:timers/promises';
import { StreamDigest } from '@holdfast/bytes/sha256';
import type { HashPool } from '@holdfast/bytes/hash-pool';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { Content, ContentDamage } from '@holdfast/catalog/contents';
import type { Operation } from '@holdfast/catalog/operations';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { vaultVerifyDetails, type VaultVerifyDetails } from '@holdfast/contract/host-files';
import type { OpenFile } from '@holdfast/storage/backend';
import type { Events } from '../events.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Operations, RunningOperation } from '../operations.ts';
import type { ContentLocks } from './content-locks.ts';
import type { VaultBackends } from './vault-backends.ts';

const PAGE = 200;
const PROGRESS_EVERY_MS = 1000;
const MOST_LISTED = 1000;
/** Files of machines that are named for each damaged content. */
const MOST_NAMED = 5;

/** Which contents are verified, and how fast. */
export interface VerificationRequest {
  sha256?: readonly string[] | undefined;
  hostname?: string | undefined;
  pathPrefix?: string | undefined;
  /** Megabits a second. */
  rateLimitMbps?: number | undefined;
}

/** Hashes contents again where they are kept, and notes those whose bytes are missing or wrong. Goes on after a restart. */
export class VaultVerification {
  readonly #catalog: Catalog;
  readonly #backends: VaultBackends;
  readonly #locks: ContentLocks;
  readonly #operations: Operations;
  readonly #events: Events;
  readonly #jobs: Jobs;
  readonly #pool: HashPool;
  #running = false;

  constructor(options: {
    catalog: Catalog;
    backends: VaultBackends;
    locks: ContentLocks;
    operations: Operations;
    events: Events;
    jobs: Jobs;
    pool: HashPool;
  }) {
    this.#catalog = options.catalog;
    this.#backends = options.backends;
    this.#locks = options.locks;
    this.#operations = options.operations;
    this.#events = options.events;
    this.#jobs = options.jobs;
    this.#pool = options.pool;
  }

  /** @throws HoldfastError `conflict` while one is running */
  async start(request: VerificationRequest, actor: string): Promise<Operation> {
    if (this.#running) {
      throw new HoldfastError(
        'conflict',
        'A verification of the vault is running already; see GET /api/v1/operations?operation=verify.',
      );
    }
    this.#running = true;
    try {
      const details: VaultVerifyDetails = {
        kind: 'vault_verify',
        sha256: request.sha256 === undefined ? null : [...request.sha256],
        hostname: request.hostname ?? null,
        path_prefix: request.pathPrefix ?? null,
        rate_limit_mbps: request.rateLimitMbps ?? null,
        after: null,
        checked: 0,
        bytes: 0,
        damaged_count: 0,
        damaged: [],
        failed_count: 0,
        failed: [],
      };
      const running = await this.#operations.start({ operation: 'verify', actor, details: { ...details } });
      this.#spawn(running, details);
      return running.row;
    } catch (error) {
      this.#running = false;
      throw error;
    }
  }

  /** Goes on with a verification that a restart interrupted. @returns whether the row was one */
  resume(row: Operation): boolean {
    const { data } = vaultVerifyDetails.safeParse(row.details);
    if (data === undefined || this.#running) return false;
    this.#running = true;
    this.#spawn(this.#operations.resume(row), data);
    return true;
  }

  #spawn(running: RunningOperation, details: VaultVerifyDetails): void {
    this.#jobs.spawn('verification of the vault', async (signal) => {
      const state = (): { bytes: number; details: VaultVerifyDetails } => ({
        bytes: details.bytes,
        details: { ...details },
      });
      try {
        await this.#run(running, details, signal);
        await running.finish({ ...state(), ...outcome(details) });
      } catch (error) {
        // A hub that stops goes on at its next start.
        if (signal.aborted) await running.progress(state());
        else await running.finish({ ...state(), error });
      } finally {
        this.#running = false;
      }
    });
  }

  async #run(running: RunningOperation, details: VaultVerifyDetails, signal: AbortSignal): Promise<void> {
    let notedAt = Date.now();
    for (;;) {
      const { contents, next } = await this.#catalog.contents.page({
        limit: PAGE,
        ...(details.after === null ? {} : { after: details.after }),
        ...(details.sha256 === null ? {} : { sha256s: details.sha256 }),
        ...(details.hostname === null ? {} : { hostname: details.hostname }),
        ...(details.path_prefix === null ? {} : { pathPrefix: details.path_prefix }),
      });
      for (const content of contents) {
        signal.throwIfAborted();
        const startedAt = performance.now();
        await this.#check(content, details, signal);
        details.after = content.sha256;
        if (Date.now() - notedAt >= PROGRESS_EVERY_MS) {
          notedAt = Date.now();
          await running.progress({ bytes: details.bytes, details: { ...details } });
        }
        await pace(content.size, details.rate_limit_mbps, startedAt, signal);
      }
      if (next === undefined) return;
      details.after = next;
    }
  }

  async #check(content: Content, details: VaultVerifyDetails, signal: AbortSignal): Promise<void> {
    const { sha256, size, backendId } = content;
    try {
      const damage = await this.#look(content, signal);
      if (!(await this.#note(content, damage, signal))) return;
      details.checked += 1;
      if (damage !== 'missing') details.bytes += size;
      if (damage === null) return;
      details.damaged_count += 1;
      if (details.damaged.length >= MOST_LISTED) return;
      const { files } = await this.#catalog.hostFiles.clones(sha256, { kind: 'all' }, MOST_NAMED);
      const named = files.map(({ hostname, filepath, version }) => ({ hostname, filepath, version }));
      details.damaged.push({ sha256, backend_id: backendId, problem: damage, host_files: named });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof HoldfastError)) throw error;
      details.failed_count += 1;
      if (details.failed.length < MOST_LISTED)
        details.failed.push({ sha256, code: error.code, detail: error.message });
    }
  }

  /** What is wrong with a content as its backend has it now; null: nothing. */
  async #look({ sha256, size, backendId }: Content, signal: AbortSignal): Promise<ContentDamage | null> {
    const { contents } = this.#backends.keeping(backendId);
    try {
      // The second look tells bytes that were changed on their way from bytes that are wrong over there.
      for (let look = 1; look <= 2; look += 1) {
        await using file = await contents.open(sha256, { signal });
        if (file.entry.size !== size) return 'mismatch';
        if ((await this.#digest(file, signal)) === sha256) return null;
      }
      return 'mismatch';
    } catch (error) {
      if (isHoldfastError(error, 'content_not_found')) return 'missing';
      throw error;
    }
  }

  async #digest(file: OpenFile, signal: AbortSignal): Promise<string> {
    if (file.fd !== undefined)
      return (await this.#pool.hashFd(file.fd, { size: file.entry.size, signal })).sha256;
    const digest = new StreamDigest();
    for await (const chunk of file.stream(undefined, { signal })) digest.update(chunk);
    return digest.hex();
  }

  /** @returns false when the content was removed or brought anew meanwhile, so that what was seen says nothing */
  async #note(content: Content, damage: ContentDamage | null, signal: AbortSignal): Promise<boolean> {
    const { sha256, backendId } = content;
    await using _lock = await this.#locks.take([sha256], signal);
    const now = await this.#catalog.contents.get(sha256);
    const isSame = now?.state === 'stored' && now.backendId === backendId && now.damage === content.damage;
    if (!isSame) return false;
    const isNews = await this.#catalog.contents.noteDamage(content, damage);
    if (isNews && damage !== null)
      this.#events.publish({ type: 'content.damaged', sha256, backend_id: backendId, problem: damage });
    return true;
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

function outcome({ damaged_count, failed_count, checked }: VaultVerifyDetails): { error?: HoldfastError } {
  if (damaged_count > 0) {
    const text = `${damaged_count} of ${checked} contents no longer have their bytes. Upload the files that are named again.`;
    return { error: new HoldfastError('checksum_mismatch', text) };
  }
  if (failed_count > 0) {
    return { error: new HoldfastError('backend_unavailable', `${failed_count} contents could not be read.`) };
  }
  return {};
}
