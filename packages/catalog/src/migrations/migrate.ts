import { HoldfastError } from '@holdfast/contract/errors';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import { lockForTransaction } from '../transaction-lock.ts';
import type { DialectName, Migration } from './migration.ts';

export interface MigrateOptions {
  dialect: DialectName;
  /** All steps in order, versions 1, 2, 3, … without a gap. */
  migrations: readonly Migration[];
  /** Called for each step when it begins. */
  onApply?: (migration: Migration) => void;
}

/**
 * Brings the schema to the newest version, in one transaction under a lock: of several openers one does the work
 * and the others find it done; a step that fails leaves the schema as it was.
 * @returns the version the schema now has
 * @throws HoldfastError `internal` when the schema is newer than the newest step
 */
export async function migrate<DB>(db: Kysely<DB>, options: MigrateOptions): Promise<number> {
  const { dialect, migrations } = options;
  const supported = migrations.length;
  return await db.transaction().execute(async (trx) => {
    await lockForTransaction(trx, dialect, 'migrations');
    await trx.schema
      .createTable('schema_migrations')
      .ifNotExists()
      .addColumn('version', 'integer', (column) => column.primaryKey().notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('applied_at', 'bigint', (column) => column.notNull())
      .execute();
    const newest = sql<{ version: number | null }>`select max(version) as version from schema_migrations`;
    const found = (await newest.execute(trx)).rows[0]?.version ?? 0;
    if (found > supported) {
      throw new HoldfastError(
        'internal',
        `The catalog has schema version ${found}, and this release supports versions up to ${supported}. ` +
          'Start the newer release that wrote it, or restore a backup of the catalog from before that upgrade.',
      );
    }
    for (const migration of migrations.slice(found)) {
      options.onApply?.(migration);
      await migration.up(trx, dialect);
      await sql`
        insert into schema_migrations (version, name, applied_at)
        values (${migration.version}, ${migration.name}, ${Date.now()})
      `.execute(trx);
    }
    return supported;
  });
}
