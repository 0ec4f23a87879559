import { HoldfastError } from '@holdfast/contract/errors';
import type { Kysely, Selectable } from 'kysely';
import type { KeyUsageTable } from './tables/key-usage-table.ts';
import type { Schema } from './tables/schema.ts';

/** What an API key keeps and reserves. */
export interface KeyUsage {
  /** Bytes of all host file versions that the key recorded; deleted ones count until they are purged. */
  bytes: number;
  /** How many versions these are. */
  files: number;
  /** Bytes and files that the key's open uploads reserve. */
  reservedBytes: number;
  reservedFiles: number;
}

/** The limits of a key, with its name for the refusal. */
export interface KeyQuota {
  name: string;
  bytes: number | null;
  files: number | null;
}

const nothing: KeyUsage = { bytes: 0, files: 0, reservedBytes: 0, reservedFiles: 0 };

export async function usageOf(db: Kysely<Schema>, keyId: string): Promise<KeyUsage> {
  const row = await db.selectFrom('key_usage').selectAll().where('key_id', '=', keyId).executeTakeFirst();
  return row === undefined ? nothing : toUsage(row);
}

/** Null for a key that is gone: nothing limits what it left. */
export async function quotaOf(db: Kysely<Schema>, keyId: string): Promise<KeyQuota | null> {
  const row = await db
    .selectFrom('keys')
    .select(['name', 'quota_bytes', 'quota_files'])
    .where('id', '=', keyId)
    .executeTakeFirst();
  return row === undefined ? null : { name: row.name, bytes: row.quota_bytes, files: row.quota_files };
}

/**
 * Adds to (or takes from) what a key keeps and reserves, inside the transaction that changes the rows which say so. The
 * key's counters are locked until it ends. With no change it only locks and reads them.
 * @returns the usage as it is now
 */
export async function changeUsage(
  trx: Kysely<Schema>,
  keyId: string,
  change: Partial<KeyUsage>,
): Promise<KeyUsage> {
  const row = await trx
    .insertInto('key_usage')
    .values({
      key_id: keyId,
      bytes: change.bytes ?? 0,
      files: change.files ?? 0,
      reserved_bytes: change.reservedBytes ?? 0,
      reserved_files: change.reservedFiles ?? 0,
    })
    .onConflict((conflict) =>
      conflict.column('key_id').doUpdateSet(({ eb, ref }) => ({
        bytes: eb('key_usage.bytes', '+', ref('excluded.bytes')),
        files: eb('key_usage.files', '+', ref('excluded.files')),
        reserved_bytes: eb('key_usage.reserved_bytes', '+', ref('excluded.reserved_bytes')),
        reserved_files: eb('key_usage.reserved_files', '+', ref('excluded.reserved_files')),
      })),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
  return toUsage(row);
}

/**
 * Reserves for an upload, inside its transaction.
 * @throws HoldfastError `quota_exceeded`, upon which the transaction is to be rolled back
 */
export async function reserve(
  trx: Kysely<Schema>,
  keyId: string,
  wanted: { bytes: number; files: number },
): Promise<void> {
  const after = await changeUsage(trx, keyId, { reservedBytes: wanted.bytes, reservedFiles: wanted.files });
  const before = {
    ...after,
    reservedBytes: after.reservedBytes - wanted.bytes,
    reservedFiles: after.reservedFiles - wanted.files,
  };
  const refusal = quotaRefusal(await quotaOf(trx, keyId), before, wanted);
  if (refusal !== null) throw refusal;
}

/** The error when a key may not keep so much more; null when it may. What takes no room is never refused. */
export function quotaRefusal(
  quota: KeyQuota | null,
  usage: KeyUsage,
  wanted: { bytes: number; files: number },
): HoldfastError | null {
  if (quota === null) return null;
  const bytes = usage.bytes + usage.reservedBytes;
  if (quota.bytes !== null && wanted.bytes > 0 && bytes + wanted.bytes > quota.bytes) {
    return exceeded(
      'file_size',
      `The API key "${quota.name}" may keep ${quota.bytes} bytes here; ${bytes} are used or reserved, so ${wanted.bytes} more do not fit.`,
    );
  }
  const files = usage.files + usage.reservedFiles;
  if (quota.files !== null && wanted.files > 0 && files + wanted.files > quota.files) {
    return exceeded(
      'filepath',
      `The API key "${quota.name}" may keep ${quota.files} files here, their earlier versions included; ${files} are used or reserved.`,
    );
  }
  return null;
}

function exceeded(field: string, message: string): HoldfastError {
  return new HoldfastError(
    'quota_exceeded',
    `${message} Deleted files count until they can no longer be restored. Ask an administrator for a larger quota.`,
    { errors: [{ field, message }] },
  );
}

function toUsage(row: Selectable<KeyUsageTable>): KeyUsage {
  return {
    bytes: row.bytes,
    files: row.files,
    reservedBytes: row.reserved_bytes,
    reservedFiles: row.reserved_files,
  };
}
