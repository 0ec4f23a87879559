import { HoldfastError } from '@holdfast/contract/errors';
import { sql } from 'kysely';
import { batches } from './batches.ts';
import { toMillis } from './columns.ts';
import { rowsToFetch } from './cursor.ts';
import type { CountedPage } from './cursor.ts';
import type { CatalogDatabase } from './database.ts';
import { markDeleted } from './host-files/deleting.ts';
import type { DeletionAnswer, DeletionNotice } from './host-files/deleting.ts';
import { hostFileKey, toHostFile, withinReach } from './host-files/host-file.ts';
import type { HostFile, HostFileReach } from './host-files/host-file.ts';
import { listHostFiles, listHosts } from './host-files/listing.ts';
import type { HostFileListOptions, HostListOptions, HostSummary } from './host-files/listing.ts';
import { countPurgeable, purgeDeleted } from './host-files/purging.ts';
import type { PurgeTotal } from './host-files/purging.ts';
import { recordVersions } from './host-files/recording.ts';
import type { NewHostFile, RecordAnswer } from './host-files/recording.ts';
import { restoreVersion } from './host-files/restoring.ts';
import type { RestoreAnswer, RestoreOptions } from './host-files/restoring.ts';
import { treeAt } from './host-files/tree.ts';
import type { TreeOptions, TreePage } from './host-files/tree.ts';
import { assertStorablePath } from './path-key.ts';
import { lockHosts } from './transaction-lock.ts';

export type {
  DeletionAnswer,
  DeletionNotice,
  HostFile,
  HostFileListOptions,
  HostFileReach,
  HostListOptions,
  HostSummary,
  NewHostFile,
  PurgeTotal,
  RecordAnswer,
  RestoreAnswer,
  RestoreOptions,
  TreeOptions,
  TreePage,
};

/** Digests asked for in one statement. */
const DIGEST_BATCH = 2_000;
const MOST_DIGESTS = 10_000;

/**
 * Files as they were seen on machines, in versions. Paths are compared byte by byte. What a version refers to is kept; the
 * bytes that the versions of a key have count as its usage, in the same transactions.
 */
export class HostFiles {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /** @see recordMany */
  async record(file: NewHostFile, at: Date): Promise<RecordAnswer> {
    const [answer] = await this.recordMany([file], at);
    return answer ?? { kind: 'content_missing' };
  }

  /**
   * Records files in one transaction; each is answered on its own, in order. Bytes that the current version has already make
   * no new one, unless that was deleted.
   * @throws HoldfastError `invalid_path`, `backend_not_found`: nothing is recorded
   */
  async recordMany(files: readonly NewHostFile[], at: Date): Promise<RecordAnswer[]> {
    if (files.length === 0) return [];
    const { db, dialect } = this.#database;
    return await db.transaction().execute(async (trx) => {
      await lockHosts(
        trx,
        dialect,
        files.map(({ hostname }) => hostname),
      );
      return await recordVersions({ trx, dialect, at, enforceQuota: true }, files);
    });
  }

  /** A version by its id. */
  async get(id: string, reach: HostFileReach): Promise<HostFile | null> {
    const row = await this.#database.db
      .selectFrom('host_files')
      .selectAll()
      .where('id', '=', id)
      .where((eb) => withinReach(eb, reach))
      .executeTakeFirst();
    return row === undefined ? null : toHostFile(row);
  }

  /** The current version of a file, deleted or not. @throws HoldfastError `invalid_path` */
  async current(hostname: string, filepath: string, reach: HostFileReach): Promise<HostFile | null> {
    assertStorablePath(filepath);
    const { head, tail } = hostFileKey(filepath);
    const row = await this.#database.db
      .selectFrom('host_files')
      .selectAll()
      .where('hostname', '=', hostname)
      .where('path_head', '=', head)
      .where('path_tail', '=', tail)
      .where('is_current', '=', sql.lit(1))
      .where((eb) => withinReach(eb, reach))
      .executeTakeFirst();
    return row === undefined ? null : toHostFile(row);
  }

  /** @see listHostFiles @throws HoldfastError `invalid_request`, `invalid_path` */
  async list(options: HostFileListOptions): Promise<CountedPage<HostFile>> {
    return await listHostFiles(this.#database, options);
  }

  /** @see listHosts @throws HoldfastError `invalid_request` */
  async hosts(options: HostListOptions): Promise<CountedPage<HostSummary>> {
    return await listHosts(this.#database, options);
  }

  /**
   * Which of these contents some version within reach refers to.
   * @param sha256s at most 10,000
   * @throws HoldfastError `invalid_request` for more
   */
  async readable(sha256s: readonly string[], reach: HostFileReach): Promise<Set<string>> {
    if (sha256s.length > MOST_DIGESTS) {
      const message = `At most ${MOST_DIGESTS} contents can be asked for at once; ${sha256s.length} were.`;
      throw new HoldfastError('invalid_request', message, { errors: [{ field: 'sha256', message }] });
    }
    const found = new Set<string>();
    for (const batch of batches(sha256s, DIGEST_BATCH)) {
      // By way of the contents: of a content that a million files have, one is enough.
      const rows = await this.#database.db
        .selectFrom('contents')
        .select('contents.sha256')
        .where('contents.sha256', 'in', batch)
        .where(({ exists, selectFrom }) =>
          exists(
            selectFrom('host_files')
              .select('host_files.id')
              .whereRef('host_files.sha256', '=', 'contents.sha256')
              .where((eb) => withinReach(eb, reach)),
          ),
        )
        .execute();
      for (const { sha256 } of rows) found.add(sha256);
    }
    return found;
  }

  /** The first `limit` versions within reach that refer to a content, by hostname and path; `total` counts all of them. */
  async clones(
    sha256: string,
    reach: HostFileReach,
    limit: number,
  ): Promise<{ files: HostFile[]; total: number }> {
    const { rows, total } = await this.list({ reach, sha256, status: 'all', versions: 'all', limit });
    return { files: rows, total };
  }

  /** @see markDeleted @throws HoldfastError `invalid_path` */
  async markDeletedMany(
    notices: readonly DeletionNotice[],
    options: { reach: HostFileReach; at: Date },
  ): Promise<DeletionAnswer[]> {
    return await markDeleted(this.#database, notices, options);
  }

  /** @see restoreVersion */
  async restore(id: string, options: RestoreOptions): Promise<RestoreAnswer> {
    return await restoreVersion(this.#database, id, options);
  }

  /**
   * Removes all versions of up to `limit` files whose current version was noted as deleted before a time. What they referred
   * to stays in the vault until it is collected.
   * @returns what was removed; call again while `files` is `limit`
   */
  async purge(deletedBefore: Date, limit: number): Promise<PurgeTotal> {
    rowsToFetch(limit);
    return await purgeDeleted(this.#database, toMillis(deletedBefore), limit);
  }

  /** What `purge` would remove now, without a limit. */
  async purgeable(deletedBefore: Date): Promise<PurgeTotal> {
    return await countPurgeable(this.#database, toMillis(deletedBefore));
  }

  /** @see treeAt @throws HoldfastError `invalid_path`, `invalid_request` */
  async treeAt(options: TreeOptions): Promise<TreePage> {
    return await treeAt(this.#database, options);
  }
}
