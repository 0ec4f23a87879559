import { randomUUID } from 'node:crypto';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Selectable } from 'kysely';
import {
  fromMillis,
  fromMillisOrNull,
  parseJsonStrings,
  toCount,
  toMillis,
  toMillisOrNull,
} from './columns.ts';
import { violationOf } from './database-error.ts';
import { hotLookup } from './database.ts';
import type { CatalogDatabase, HotLookup } from './database.ts';
import type { KeyOrigin, KeysTable } from './tables/keys-table.ts';
import { usageOf } from './key-usage.ts';
import type { KeyUsage } from './key-usage.ts';
import { lockForTransaction } from './transaction-lock.ts';

const ADMIN = 'admin';
const ENVIRONMENT = 'environment';

export interface ApiKey {
  id: string;
  name: string;
  /** Hex SHA-256 of the token, which is not kept. */
  hash: string;
  /** The last four characters of the token. */
  hint: string;
  scopes: string[];
  /** The only backend that the key reaches; null for all. */
  backendId: string | null;
  /** The only paths that the key reaches; null for all. */
  pathPrefix: string | null;
  /** The only machine whose host files the key reaches; null for what its other limits say. */
  hostname: string | null;
  /** Bytes of host files that the key may keep; null for no limit. */
  quotaBytes: number | null;
  /** Host file versions that the key may keep; null for no limit. */
  quotaFiles: number | null;
  origin: KeyOrigin;
  expiresAt: Date | null;
  lastUsedAt: Date | null;
  revokedAt: Date | null;
  createdAt: Date;
}

export interface NewApiKey {
  id?: string;
  name: string;
  hash: string;
  hint: string;
  scopes: readonly string[];
  backendId?: string | null;
  pathPrefix?: string | null;
  hostname?: string | null;
  quotaBytes?: number | null;
  quotaFiles?: number | null;
  origin: KeyOrigin;
  expiresAt?: Date | null;
}

export class Keys {
  readonly #database: CatalogDatabase;
  readonly #lookup: HotLookup<Selectable<KeysTable>>;

  constructor(database: CatalogDatabase) {
    this.#database = database;
    const query = database.db.selectFrom('keys').selectAll().where('hash', '=', '').compile();
    this.#lookup = hotLookup(database, query);
  }

  /** All keys, oldest first; expired and revoked ones too. */
  async list(): Promise<ApiKey[]> {
    const rows = await this.#database.db
      .selectFrom('keys')
      .selectAll()
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    return rows.map(toKey);
  }

  async get(id: string): Promise<ApiKey | null> {
    const row = await this.#database.db
      .selectFrom('keys')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : toKey(row);
  }

  /** The key with this hash, expired or revoked or not. */
  async getByHash(hash: string): Promise<ApiKey | null> {
    const row = await this.#lookup(hash);
    return row === undefined ? null : toKey(row);
  }

  /** @throws HoldfastError `conflict` when the token is already in use; `backend_not_found` */
  async insert(key: NewApiKey): Promise<ApiKey> {
    try {
      const row = await this.#database.db
        .insertInto('keys')
        .values({
          id: key.id ?? randomUUID(),
          name: key.name,
          hash: key.hash,
          hint: key.hint,
          scopes: JSON.stringify(key.scopes),
          backend_id: key.backendId ?? null,
          path_prefix: key.pathPrefix ?? null,
          hostname: key.hostname ?? null,
          quota_bytes: toQuota(key.quotaBytes, 'quota in bytes'),
          quota_files: toQuota(key.quotaFiles, 'quota of files'),
          origin: key.origin,
          expires_at: toMillisOrNull(key.expiresAt ?? null),
          last_used_at: null,
          revoked_at: null,
          created_at: Date.now(),
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      return toKey(row);
    } catch (error) {
      throw refusal(error, key);
    }
  }

  /** Revokes a key; one that was revoked before keeps its date. Null when there is none with this id. */
  async revoke(id: string, at: Date): Promise<ApiKey | null> {
    const row = await this.#database.db
      .updateTable('keys')
      .set(({ fn, ref, val }) => ({ revoked_at: fn.coalesce(ref('revoked_at'), val(toMillis(at))) }))
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirst();
    return row === undefined ? null : toKey(row);
  }

  /** Notes a use of the key; an earlier time than the noted one changes nothing. */
  async touch(id: string, at: Date): Promise<void> {
    const millis = toMillis(at);
    await this.#database.db
      .updateTable('keys')
      .set({ last_used_at: millis })
      .where('id', '=', id)
      .where(({ eb, or }) => or([eb('last_used_at', 'is', null), eb('last_used_at', '<', millis)]))
      .execute();
  }

  /**
   * Makes the token of the environment the one environment administrator, in place of an earlier one. The same hash
   * again changes nothing: a revoked key stays revoked. A token that was issued or generated before becomes the
   * environment's.
   */
  async setEnvironmentAdmin(hash: string, hint: string): Promise<ApiKey> {
    const { db, dialect } = this.#database;
    return await db.transaction().execute(async (trx) => {
      await lockForTransaction(trx, dialect, 'environmentKey');
      const current = await trx
        .selectFrom('keys')
        .selectAll()
        .where('origin', '=', ENVIRONMENT)
        .executeTakeFirst();
      if (current?.hash === hash) return toKey(current);
      if (current !== undefined) await trx.deleteFrom('keys').where('id', '=', current.id).execute();
      const granted = {
        hint,
        scopes: JSON.stringify([ADMIN]),
        backend_id: null,
        path_prefix: null,
        hostname: null,
        quota_bytes: null,
        quota_files: null,
        origin: ENVIRONMENT,
        expires_at: null,
        revoked_at: null,
      } as const;
      const row = await trx
        .insertInto('keys')
        .values({
          id: randomUUID(),
          name: ENVIRONMENT,
          hash,
          ...granted,
          last_used_at: null,
          created_at: Date.now(),
        })
        .onConflict((conflict) => conflict.column('hash').doUpdateSet(granted))
        .returningAll()
        .executeTakeFirstOrThrow();
      return toKey(row);
    });
  }

  /** How many keys with the scope `admin` work at this time. */
  async countAdmins(at: Date): Promise<number> {
    const millis = toMillis(at);
    const rows = await this.#database.db
      .selectFrom('keys')
      .select('scopes')
      .where('revoked_at', 'is', null)
      .where(({ eb, or }) => or([eb('expires_at', 'is', null), eb('expires_at', '>', millis)]))
      .execute();
    return rows.filter((row) => parseJsonStrings(row.scopes, 'keys.scopes').includes(ADMIN)).length;
  }

  /** What the key keeps and reserves; zeros when nothing is known of it. */
  async usage(id: string): Promise<KeyUsage> {
    return await usageOf(this.#database.db, id);
  }
}

function toQuota(value: number | null | undefined, what: string): number | null {
  return value === null || value === undefined ? null : toCount(value, what);
}

function toKey(row: Selectable<KeysTable>): ApiKey {
  return {
    id: row.id,
    name: row.name,
    hash: row.hash,
    hint: row.hint,
    scopes: parseJsonStrings(row.scopes, 'keys.scopes'),
    backendId: row.backend_id,
    pathPrefix: row.path_prefix,
    hostname: row.hostname,
    quotaBytes: row.quota_bytes,
    quotaFiles: row.quota_files,
    origin: row.origin,
    expiresAt: fromMillisOrNull(row.expires_at),
    lastUsedAt: fromMillisOrNull(row.last_used_at),
    revokedAt: fromMillisOrNull(row.revoked_at),
    createdAt: fromMillis(row.created_at),
  };
}

function refusal(error: unknown, key: NewApiKey): unknown {
  const violation = violationOf(error);
  if (violation?.kind === 'foreign_key') {
    const message = `There is no backend with the id ${key.backendId ?? ''}.`;
    return new HoldfastError('backend_not_found', message, {
      cause: error,
      errors: [{ field: 'backend_id', message }],
    });
  }
  if (violation?.column === 'keys.hash') {
    return new HoldfastError('conflict', 'There is already an API key with this token. Use another token.', {
      cause: error,
    });
  }
  if (violation?.column === 'keys.origin') {
    return new HoldfastError(
      'conflict',
      'There is already an administrator key from the environment. Change the variable and start the hub again.',
      { cause: error },
    );
  }
  return error;
}
