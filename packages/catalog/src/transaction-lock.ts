import { hash } from 'node:crypto';
import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { DialectName } from './migrations/migration.ts';

/** Advisory locks share one number space with other users of the database: the first key is ours ("HOLD", "HOST"). */
const NAMESPACE = 0x48_4f_4c_44;
const HOST_NAMESPACE = 0x48_4f_53_54;
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

/**
 * Makes the rest of the transaction exclusive for the host files of these machines: the versions of a file are numbered
 * without a gap, and one of them is current. It comes first in a transaction; the order of all locks is hosts, uploads,
 * key_usage, contents. Machines may share a lock, which only costs time.
 */
export async function lockHosts<DB>(
  trx: Kysely<DB>,
  dialect: DialectName,
  hostnames: Iterable<string>,
): Promise<void> {
  if (dialect === 'sqlite') return;
  const keys = new Set(
    Array.from(hostnames, (hostname) => hash('sha256', hostname, 'buffer').readInt32BE(0)),
  );
  for (const key of [...keys].toSorted((a, b) => a - b)) {
    await sql`select pg_advisory_xact_lock(${sql.lit(HOST_NAMESPACE)}, ${sql.lit(key)})`.execute(trx);
  }
}
