import type { Logger } from 'pino';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { Operation } from '@holdfast/catalog/operations';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { VaultStats } from '@holdfast/contract/host-files';
import type { OpenFile } from '@holdfast/storage/backend';
import type { SmallContent } from '@holdfast/storage/contents';
import type { Backends } from '../backends/backends.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Operations } from '../operations.ts';
import type { Settings } from '../settings.ts';
import type { HashPool } from '@holdfast/bytes/hash-pool';
import type { Events } from '../events.ts';
import { Collection } from './collection.ts';
import { Collector } from './collector.ts';
import { ContentLocks } from './content-locks.ts';
import { Leftovers } from './leftovers.ts';
import { deletedBefore, retentionMs } from './retention.ts';
import { storeManyContents, type StoredOutcome } from './storing-many.ts';
import { VaultBackends, type VaultBackend } from './vault-backends.ts';
import { VaultVerification, type VerificationRequest } from './verification.ts';

/** An open content: its bytes are those of the SHA-256, and never change. */
export interface OpenContent {
  file: OpenFile;
  sha256: string;
  /** Bytes. */
  size: number;
  backendId: string;
  createdAt: Date;
}

/**
 * What is kept of a content: `absent`, nothing; `kept`, the row, and its backend has the bytes; `lost`, the row, and its backend
 * cannot show the bytes now or was found to have others, so that a new copy is worth keeping.
 */
export type ContentPresence =
  | { kind: 'absent' }
  | { kind: 'kept'; backendId: string; size: number }
  | { kind: 'lost'; backendId: string };

/** Contents by their SHA-256, each kept once over all backends. */
export class Vault {
  readonly #catalog: Catalog;
  readonly #hubId: string;
  readonly #settings: Settings;
  readonly #backends: VaultBackends;
  readonly #locks = new ContentLocks();
  readonly #collector: Collector;
  readonly #verification: VaultVerification;

  constructor(options: {
    catalog: Catalog;
    backends: Backends;
    settings: Settings;
    operations: Operations;
    events: Events;
    jobs: Jobs;
    pool: HashPool;
    logger: Logger;
    hubId: string;
  }) {
    const { catalog, settings, operations, events, jobs, pool, logger, hubId } = options;
    this.#catalog = catalog;
    this.#hubId = hubId;
    this.#settings = settings;
    this.#backends = new VaultBackends({ backends: options.backends, settings, logger });
    const parts = { catalog, backends: this.#backends, locks: this.#locks, settings, hubId, logger };
    const leftovers = new Leftovers(parts);
    const collection = new Collection({ ...parts, leftovers });
    this.#verification = new VaultVerification({ ...parts, operations, events, jobs, pool });
    this.#collector = new Collector({ ...parts, operations, jobs, collection, leftovers });
  }

  /**
   * The backend that takes uploads: the named one, or that of the settings.
   * @throws HoldfastError `backend_not_found`, `backend_unavailable` (none is set), `read_only`
   */
  backendFor(backendId?: string | null): VaultBackend {
    return this.#backends.forUploads(backendId);
  }

  /** The backend of a row. @throws HoldfastError `backend_unavailable` */
  backendOf(backendId: string): VaultBackend {
    return this.#backends.keeping(backendId);
  }

  /** Who publishes, records or removes a content holds its lock, within this hub. @throws HoldfastError `cancelled` */
  lock(sha256: string, signal?: AbortSignal): Promise<AsyncDisposable> {
    return this.#locks.take([sha256], signal);
  }

  /** All of these locks, in one order, so that two callers never wait for each other. @throws HoldfastError `cancelled` */
  lockMany(sha256s: Iterable<string>, signal?: AbortSignal): Promise<AsyncDisposable> {
    return this.#locks.take(sha256s, signal);
  }

  /** Under its lock: what is kept of a content. @throws HoldfastError `busy` while another hub removes it */
  async presence(sha256: string): Promise<ContentPresence> {
    const row = await this.#catalog.contents.get(sha256);
    if (row === null) return { kind: 'absent' };
    if (row.state === 'removing') {
      if (row.removingBy !== this.#hubId) throw beingRemoved(sha256);
      // Nobody here is at it, or the lock would not have been free: a removal that was interrupted.
      await this.#catalog.contents.revive(sha256, this.#hubId);
    }
    const { backendId, size } = row;
    return row.damage === null && (await this.#backends.shows(row))
      ? { kind: 'kept', backendId, size }
      : { kind: 'lost', backendId };
  }

  /**
   * Under its lock, and right before a new copy is published: removes the copy that was found damaged, which would otherwise
   * be kept in its place. From then on it counts as missing, so that a repetition does not remove the new one.
   */
  async dropDamaged(sha256: string): Promise<void> {
    const row = await this.#catalog.contents.get(sha256);
    if (row?.damage !== 'mismatch') return;
    try {
      await this.#backends.keeping(row.backendId).contents.remove(sha256);
    } catch (error) {
      // Kept elsewhere from now on, it is one too many when its backend comes back, and goes with a collection.
      if (!isHoldfastError(error, 'backend_unavailable')) throw error;
    }
    await this.#catalog.contents.noteDamage(row, 'missing');
  }

  /** Starts to hash contents again where they are kept, as an operation. @throws HoldfastError `conflict` while one runs */
  verify(request: VerificationRequest, actor: string): Promise<Operation> {
    return this.#verification.start(request, actor);
  }

  /** Goes on with a verification that a restart interrupted. @returns whether the row was one */
  resumeVerification(row: Operation): boolean {
    return this.#verification.resume(row);
  }

  /** Those of some contents that were found damaged. */
  async damagedOf(sha256s: readonly string[]): Promise<Set<string>> {
    const rows = await this.#catalog.contents.getMany(sha256s);
    return new Set([...rows.values()].filter(({ damage }) => damage !== null).map(({ sha256 }) => sha256));
  }

  /** Under the locks of all: stores small contents that are not kept yet. One outcome each, in order. */
  storeMany(
    backend: VaultBackend,
    contents: readonly SmallContent[],
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<StoredOutcome[]> {
    const presence = (sha256: string): Promise<ContentPresence> => this.presence(sha256);
    const dropDamaged = (sha256: string): Promise<void> => this.dropDamaged(sha256);
    return storeManyContents(contents, { backend, catalog: this.#catalog, presence, dropDamaged, signal });
  }

  /** @throws HoldfastError `content_not_found`, `backend_unavailable` */
  async open(sha256: string, { signal }: { signal?: AbortSignal } = {}): Promise<OpenContent> {
    const row = await this.#catalog.contents.get(sha256);
    if (row === null) throw new HoldfastError('content_not_found', `There is no content ${sha256}.`);
    if (row.damage === 'mismatch') throw damaged(sha256);
    const { backendId, size, createdAt } = row;
    const { name, contents } = this.#backends.keeping(backendId);
    try {
      const file = await contents.open(sha256, signal === undefined ? {} : { signal });
      return { file, sha256, size, backendId, createdAt };
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== 'content_not_found') throw error;
      throw new HoldfastError(
        'backend_unavailable',
        `The backend "${name}" should keep the content ${sha256} and does not have it. Restore its vault, or upload the file again.`,
        { cause: error, retryable: false },
      );
    }
  }

  /** How long a deleted file can be restored, in milliseconds; its versions are purged by the collection after that. */
  get retentionMs(): number {
    return retentionMs(this.#settings);
  }

  /** Starts a collection as an operation, which ends with its report. @throws HoldfastError `conflict` while one runs */
  collect(options: { dryRun: boolean; actor: string }): Promise<Operation> {
    return this.#collector.start(options);
  }

  /** A collection that is in the operation log only when it removed something or failed. Nothing while one runs. */
  collectHourly(): Promise<void> {
    return this.#collector.runHourly();
  }

  /**
   * At start, when the sessions that were completing are finished: ends removals that were interrupted. Files that a crash left in
   * the vaults are removed in the background then, as a vault can be large; collections wait for that. One line of the log for
   * each backend where there was something.
   */
  sweep(): Promise<void> {
    return this.#collector.sweep();
  }

  async stats(): Promise<VaultStats> {
    const [kept, unreferenced] = await Promise.all([
      this.#catalog.contents.stats(),
      this.#catalog.contents.unreferencedTotal({ deletedBefore: deletedBefore(this.#settings) }),
    ]);
    return {
      contents: kept.contents,
      bytes: kept.bytes,
      host_files: kept.hostFiles,
      host_file_bytes: kept.hostFileBytes,
      unreferenced_contents: unreferenced.contents,
      unreferenced_bytes: unreferenced.bytes,
    };
  }
}

function damaged(sha256: string): HoldfastError {
  const text = `The bytes that are kept of the content ${sha256} were found to be others, so they are not handed out. Upload the file again.`;
  return new HoldfastError('backend_unavailable', text, { retryable: false });
}

function beingRemoved(sha256: string): HoldfastError {
  return new HoldfastError(
    'busy',
    `Another hub is just removing the content ${sha256}, because nothing referred to it. Try again in a moment.`,
  );
}
