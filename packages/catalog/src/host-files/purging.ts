import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { sumOf } from '../aggregates.ts';
import type { CatalogDatabase } from '../database.ts';
import { changeUsage } from '../key-usage.ts';
import type { Schema } from '../tables/schema.ts';
import { lockHosts } from '../transaction-lock.ts';

/** Files purged in one transaction: SQLite runs it on the event loop. */
const BATCH = 100;

export interface PurgeTotal {
  /** Files, by hostname and path. */
  files: number;
  versions: number;
  /** Bytes of these versions, each on its own. */
  bytes: number;
}

/** Files whose current version was noted as deleted before a time, the earliest first. */
function purgeableFiles(db: Kysely<Schema>, before: number) {
  return db
    .selectFrom('host_files')
    .select(['id', 'hostname', 'path_head', 'path_tail'])
    .where('is_current', '=', sql.lit(1))
    .where('deletion_noted_at', 'is not', null)
    .where('deletion_noted_at', '<', before);
}

/** Removes all versions of up to `limit` such files. */
export async function purgeDeleted(
  database: CatalogDatabase,
  before: number,
  limit: number,
): Promise<PurgeTotal> {
  const total: PurgeTotal = { files: 0, versions: 0, bytes: 0 };
  while (total.files < limit) {
    const wanted = Math.min(BATCH, limit - total.files);
    const candidates = await purgeableFiles(database.db, before)
      .orderBy('deletion_noted_at')
      .orderBy('id')
      .limit(wanted)
      .execute();
    const purged = await purgeBatch(database, candidates, before);
    total.files += purged.files;
    total.versions += purged.versions;
    total.bytes += purged.bytes;
    if (candidates.length < wanted) break;
  }
  return total;
}

async function purgeBatch(
  { db, dialect }: CatalogDatabase,
  candidates: readonly { id: string; hostname: string }[],
  before: number,
): Promise<PurgeTotal> {
  const total: PurgeTotal = { files: 0, versions: 0, bytes: 0 };
  if (candidates.length === 0) return total;
  return await db.transaction().execute(async (trx) => {
    await lockHosts(
      trx,
      dialect,
      candidates.map(({ hostname }) => hostname),
    );
    // Once more, now that nobody can restore them.
    const files = await purgeableFiles(trx, before)
      .where(
        'id',
        'in',
        candidates.map(({ id }) => id),
      )
      .execute();
    const byKey = new Map<string, { bytes: number; files: number }>();
    for (const { hostname, path_head, path_tail } of files) {
      const versions = await trx
        .selectFrom('host_files')
        .select(({ fn, ref }) => [
          'key_id',
          fn.countAll<number>().as('count'),
          sumOf(ref('size')).as('bytes'),
        ])
        .where('hostname', '=', hostname)
        .where('path_head', '=', path_head)
        .where('path_tail', '=', path_tail)
        .groupBy('key_id')
        .execute();
      for (const { key_id, count, bytes } of versions) {
        const sum = byKey.get(key_id) ?? { bytes: 0, files: 0 };
        byKey.set(key_id, { bytes: sum.bytes + bytes, files: sum.files + count });
      }
      await trx
        .deleteFrom('host_files')
        .where('hostname', '=', hostname)
        .where('path_head', '=', path_head)
        .where('path_tail', '=', path_tail)
        .execute();
    }
    await giveBack(trx, byKey);
    total.files = files.length;
    for (const { bytes, files: versions } of byKey.values()) {
      total.versions += versions;
      total.bytes += bytes;
    }
    return total;
  });
}

/** Takes versions that are gone off what their keys use, in one order for everybody. */
export async function giveBack(
  trx: Kysely<Schema>,
  byKey: ReadonlyMap<string, { bytes: number; files: number }>,
): Promise<void> {
  for (const [keyId, { bytes, files }] of [...byKey].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    await changeUsage(trx, keyId, { bytes: -bytes, files: -files });
  }
}

/** What `purgeDeleted` would remove now, without a limit. */
export async function countPurgeable({ db }: CatalogDatabase, before: number): Promise<PurgeTotal> {
  const { files } = await purgeableFiles(db, before)
    .clearSelect()
    .select(({ fn }) => fn.countAll<number>().as('files'))
    .executeTakeFirstOrThrow();
  const { versions, bytes } = await db
    .selectFrom(purgeableFiles(db, before).as('file'))
    .innerJoin('host_files as version', (join) =>
      join
        .onRef('version.hostname', '=', 'file.hostname')
        .onRef('version.path_head', '=', 'file.path_head')
        .onRef('version.path_tail', '=', 'file.path_tail'),
    )
    .select(({ fn, ref }) => [fn.countAll<number>().as('versions'), sumOf(ref('version.size')).as('bytes')])
    .executeTakeFirstOrThrow();
  return { files, versions, bytes };
}
