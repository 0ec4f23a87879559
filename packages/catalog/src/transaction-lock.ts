import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { DialectName } from './migrations/migration.ts';

/** Advisory locks share one number space with other users of the database: the first key is ours ("HOLD"). */
const NAMESPACE = 0x48_4f_4c_44;
const lockKeys = { migrations: 1, environmentKey: 2, settings: 3 } as const;

/**
 * Makes the rest of the transaction exclusive among all hubs, for one purpose. It ends with the transaction.
 * SQLite needs nothing: its transactions begin as writers (`BEGIN IMMEDIATE`) and so run one at a time.
 */
export async function lockForTransaction<DB>(
  trx: Kysely<DB>,
  dialect: DialectName,
  purpose: keyof typeof lockKeys,
): Promise<void> {
  if (dialect === 'sqlite') return;
  await sql`select pg_advisory_xact_lock(${sql.lit(NAMESPACE)}, ${sql.lit(lockKeys[purpose])})`.execute(trx);
}
