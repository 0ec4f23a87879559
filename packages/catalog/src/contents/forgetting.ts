import type { Kysely, Selectable } from 'kysely';
import type { CatalogDatabase } from '../database.ts';
import { giveBack } from '../host-files/purging.ts';
import type { HostFilesTable } from '../tables/host-files-table.ts';
import type { Schema } from '../tables/schema.ts';
import { lockHosts } from '../transaction-lock.ts';

/** Rows in one transaction: SQLite runs it on the event loop. */
const BATCH = 500;

/**
 * Forgets all contents of a backend, and the versions of host files that refer to them. Of what is left of a file, the newest
 * version becomes current. Each step leaves the catalog consistent, so that it can be repeated after a crash.
 */
export async function forgetContents(database: CatalogDatabase, backendId: string): Promise<void> {
  const { db } = database;
  for (;;) {
    const versions = await db
      .selectFrom('contents')
      .innerJoin('host_files', 'host_files.sha256', 'contents.sha256')
      .select(['host_files.id', 'host_files.hostname'])
      .where('contents.backend_id', '=', backendId)
      .limit(BATCH)
      .execute();
    if (versions.length === 0) break;
    await forgetVersions(database, versions);
  }
  for (;;) {
    const batch = db.selectFrom('contents').select('sha256').where('backend_id', '=', backendId).limit(BATCH);
    const result = await db.deleteFrom('contents').where('sha256', 'in', batch).executeTakeFirstOrThrow();
    if (result.numDeletedRows < BigInt(BATCH)) return;
  }
}

async function forgetVersions(
  { db, dialect }: CatalogDatabase,
  versions: readonly { id: string; hostname: string }[],
): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await lockHosts(
      trx,
      dialect,
      versions.map(({ hostname }) => hostname),
    );
    const rows = await trx
      .deleteFrom('host_files')
      .where(
        'id',
        'in',
        versions.map(({ id }) => id),
      )
      .returningAll()
      .execute();
    const byKey = new Map<string, { bytes: number; files: number }>();
    for (const { key_id, size } of rows) {
      const sum = byKey.get(key_id) ?? { bytes: 0, files: 0 };
      byKey.set(key_id, { bytes: sum.bytes + size, files: sum.files + 1 });
    }
    await giveBack(trx, byKey);
    for (const row of rows) if (row.is_current !== 0) await promoteNewest(trx, row);
  });
}

async function promoteNewest(trx: Kysely<Schema>, file: Selectable<HostFilesTable>): Promise<void> {
  const newest = trx
    .selectFrom('host_files')
    .select('id')
    .where('hostname', '=', file.hostname)
    .where('path_head', '=', file.path_head)
    .where('path_tail', '=', file.path_tail)
    .orderBy('version', 'desc')
    .limit(1);
  await trx.updateTable('host_files').set({ is_current: 1 }).where('id', 'in', newest).execute();
}
