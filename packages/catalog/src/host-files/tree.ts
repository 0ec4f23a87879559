import { sql } from 'kysely';
import { batches } from '../batches.ts';
import { toMillis } from '../columns.ts';
import { rowsToFetch } from '../cursor.ts';
import type { CatalogDatabase } from '../database.ts';
import { HOST_FILE_HEAD_CHARACTERS, assertStorablePath, pathHead } from '../path-key.ts';
import { toHostFile, withinReach } from './host-file.ts';
import type { HostFile, HostFileReach } from './host-file.ts';
import { hasPrefix } from './path-prefix.ts';

const BATCH = 500;

export interface TreeOptions {
  hostname: string;
  /** The tree as it was at this time. */
  at: Date;
  reach: HostFileReach;
  /** Only paths that begin with this text. */
  pathPrefix?: string;
  /** The `next` of the page before. */
  after?: string;
  limit: number;
}

/** One page of a tree. */
export interface TreePage {
  files: HostFile[];
  /** Set when there is more, also when this page has nothing. */
  next?: string;
}

/**
 * The files of a machine as they were at a time, by path in the order of bytes: of each the newest version that had come by
 * then, unless it was deleted by then. Up to `limit` paths are looked at.
 * @throws HoldfastError `invalid_path`, `invalid_request` naming the field `limit`
 */
export async function treeAt({ db }: CatalogDatabase, options: TreeOptions): Promise<TreePage> {
  const { after, limit, pathPrefix } = options;
  rowsToFetch(limit);
  const at = toMillis(options.at);
  // Every file has one current version, so these are the paths.
  let paths = db
    .selectFrom('host_files')
    .select(({ selectFrom }) => [
      'filepath',
      selectFrom('host_files as version')
        .select('version.id')
        .whereRef('version.hostname', '=', 'host_files.hostname')
        .whereRef('version.path_head', '=', 'host_files.path_head')
        .whereRef('version.path_tail', '=', 'host_files.path_tail')
        .where('version.created_at', '<=', at)
        .orderBy('version.version', 'desc')
        .limit(1)
        .as('version_id'),
    ])
    .where('is_current', '=', sql.lit(1))
    .where('hostname', '=', options.hostname)
    .orderBy('path_head')
    .orderBy('filepath')
    .limit(limit);
  if (pathPrefix !== undefined) paths = paths.where((eb) => hasPrefix(eb, pathPrefix));
  if (after !== undefined) {
    assertStorablePath(after);
    paths = paths
      .where('path_head', '>=', pathHead(after, HOST_FILE_HEAD_CHARACTERS))
      .where('filepath', '>', after);
  }
  const looked = await paths.execute();

  const found = new Map<string, HostFile>();
  const ids = looked.flatMap(({ version_id }) => (version_id === null ? [] : [version_id]));
  for (const batch of batches(ids, BATCH)) {
    const rows = await db
      .selectFrom('host_files')
      .selectAll()
      .where('id', 'in', batch)
      .where((eb) => withinReach(eb, options.reach))
      .where(({ eb, or }) => or([eb('deleted_at', 'is', null), eb('deleted_at', '>', at)]))
      .execute();
    for (const row of rows) found.set(row.id, toHostFile(row));
  }
  const files = looked.flatMap(({ version_id }) => found.get(version_id ?? '') ?? []);
  const last = looked.at(-1);
  return looked.length === limit && last !== undefined ? { files, next: last.filepath } : { files };
}
