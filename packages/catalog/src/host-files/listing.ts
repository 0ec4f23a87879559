import { sql } from 'kysely';
import type { SelectQueryBuilder } from 'kysely';
import { sumOf } from '../aggregates.ts';
import { fromMillis, toMillis } from '../columns.ts';
import {
  decodeTextCursor,
  decodeVersionCursor,
  encodeTextCursor,
  encodeVersionCursor,
  rowsToFetch,
  toPage,
} from '../cursor.ts';
import type { CountedPage } from '../cursor.ts';
import type { CatalogDatabase } from '../database.ts';
import type { Schema } from '../tables/schema.ts';
import { hostFileKey, toHostFile, withinReach } from './host-file.ts';
import type { HostFile, HostFileReach } from './host-file.ts';
import { hasPrefix } from './path-prefix.ts';

const FILES = 'host_files';
const HOSTS = 'hosts';

export interface HostFileListOptions {
  reach: HostFileReach;
  hostname?: string;
  /** Paths that begin with this text. */
  pathPrefix?: string;
  status: 'active' | 'deleted' | 'all';
  sha256?: string;
  /** `all`: the history too. */
  versions: 'current' | 'all';
  limit: number;
  cursor?: string;
}

/** A machine whose files are kept. */
export interface HostSummary {
  hostname: string;
  /** Current files that are not deleted. */
  files: number;
  /** Their size together. */
  bytes: number;
  /** Deleted files whose deletion was noted at `deletedSince` or later. */
  deletedFiles: number;
  /** When a file of this machine last came, or was noted as deleted. */
  lastSeenAt: Date;
}

export interface HostListOptions {
  reach: HostFileReach;
  deletedSince: Date;
  limit: number;
  cursor?: string;
}

/**
 * By hostname, path and version, the newest first. Paths are in the order of their bytes; those that agree in their first
 * 320 characters follow each other in no particular order. `total` counts the whole list.
 */
export async function listHostFiles(
  { db }: CatalogDatabase,
  options: HostFileListOptions,
): Promise<CountedPage<HostFile>> {
  const after = options.cursor === undefined ? null : decodeVersionCursor(FILES, options.cursor);
  const all = filtered(db.selectFrom('host_files'), options);
  let query = all
    .selectAll()
    .orderBy('hostname')
    .orderBy('path_head')
    .orderBy('path_tail')
    .orderBy('version', 'desc')
    .limit(rowsToFetch(options.limit));
  if (after !== null) {
    const { head, tail } = hostFileKey(after.filepath);
    query = query.where(({ eb, or, and, refTuple, tuple }) =>
      // The first bound follows from the second, and is what an index can use.
      and([
        eb(refTuple('hostname', 'path_head', 'path_tail'), '>=', tuple(after.hostname, head, tail)),
        or([
          eb(refTuple('hostname', 'path_head', 'path_tail'), '>', tuple(after.hostname, head, tail)),
          eb('version', '<', after.version),
        ]),
      ]),
    );
  }
  const rows = await query.execute();
  const { total } = await all.select(({ fn }) => fn.countAll<number>().as('total')).executeTakeFirstOrThrow();
  const page = toPage(rows, options.limit, toHostFile, (row) => encodeVersionCursor(FILES, row));
  return { ...page, total };
}

function filtered<Output>(
  query: SelectQueryBuilder<Schema, 'host_files', Output>,
  options: HostFileListOptions,
): SelectQueryBuilder<Schema, 'host_files', Output> {
  let result = query.where((eb) => withinReach(eb, options.reach));
  const { hostname, pathPrefix, sha256, status, versions } = options;
  if (hostname !== undefined) result = result.where('hostname', '=', hostname);
  if (pathPrefix !== undefined) result = result.where((eb) => hasPrefix(eb, pathPrefix));
  if (sha256 !== undefined) result = result.where('sha256', '=', sha256);
  if (versions === 'current') result = result.where('is_current', '=', sql.lit(1));
  if (status !== 'all') {
    result = result.where('deletion_noted_at', status === 'active' ? 'is' : 'is not', null);
  }
  return result;
}

/** The machines by hostname; of a key's reach, those of which it recorded a current version. */
export async function listHosts(
  { db }: CatalogDatabase,
  options: HostListOptions,
): Promise<CountedPage<HostSummary>> {
  const after = options.cursor === undefined ? null : decodeTextCursor(HOSTS, options.cursor);
  const since = toMillis(options.deletedSince);
  let query = db
    .selectFrom('host_files')
    .select(({ fn, ref }) => [
      'hostname',
      fn.countAll<number>().filterWhere('deletion_noted_at', 'is', null).as('files'),
      sumOf(sql<number | null>`case when deletion_noted_at is null then ${ref('size')} end`).as('bytes'),
      fn.countAll<number>().filterWhere('deletion_noted_at', '>=', since).as('deleted'),
      fn.max('created_at').as('created_at'),
      fn.max('deletion_noted_at').as('deletion_noted_at'),
    ])
    .where('is_current', '=', sql.lit(1))
    .where((eb) => withinReach(eb, options.reach))
    .groupBy('hostname')
    .orderBy('hostname')
    .limit(rowsToFetch(options.limit));
  if (after !== null) query = query.where('hostname', '>', after.first);
  const rows = await query.execute();
  const page = toPage(
    rows,
    options.limit,
    (row): HostSummary => ({
      hostname: row.hostname,
      files: row.files,
      bytes: row.bytes,
      deletedFiles: row.deleted,
      lastSeenAt: fromMillis(Math.max(row.created_at, row.deletion_noted_at ?? 0)),
    }),
    (row) => encodeTextCursor(HOSTS, { first: row.hostname, second: '' }),
  );
  return { ...page, total: await countHosts(db, options.reach) };
}

/** From hostname to hostname by the index, however many files each has. */
async function countHosts(db: CatalogDatabase['db'], reach: HostFileReach): Promise<number> {
  const condition =
    reach.kind === 'all'
      ? sql``
      : reach.kind === 'key'
        ? sql`and key_id = ${reach.keyId}`
        : sql`and hostname = ${reach.hostname}`;
  const { rows } = await sql<{ total: number }>`
    with recursive hosts(name) as (
      select min(hostname) from host_files where is_current = 1 ${condition}
      union all
      select (select min(hostname) from host_files where is_current = 1 and hostname > hosts.name ${condition})
      from hosts where hosts.name is not null
    )
    select count(name) as total from hosts
  `.execute(db);
  return rows[0]?.total ?? 0;
}
