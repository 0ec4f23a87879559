import { randomUUID } from 'node:crypto';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Selectable } from 'kysely';
import { fromMillis, parseJsonObject } from './columns.ts';
import type { JsonObject } from './columns.ts';
import { Contents } from './contents.ts';
import { forgetContents } from './contents/forgetting.ts';
import { violationOf } from './database-error.ts';
import type { CatalogDatabase } from './database.ts';
import type { BackendType, BackendsTable } from './tables/backends-table.ts';
import { Uploads } from './uploads.ts';
import { liveStatuses } from './uploads/upload.ts';

/** Checksum records removed in one statement: SQLite runs it on the event loop. */
const REMOVAL_BATCH = 2_000;

/** A configured storage. */
export interface Backend {
  id: string;
  /** Unique. */
  name: string;
  type: BackendType;
  /** Without secrets. */
  config: JsonObject;
  /** The secrets of the configuration, sealed. */
  sealedSecrets: string | null;
  /** What the marker file of the volume says; unique. Null until it was first mounted. */
  volumeId: string | null;
  createdAt: Date;
  updatedAt: Date;
}

export interface NewBackend {
  id?: string;
  name: string;
  type: BackendType;
  config: JsonObject;
  sealedSecrets?: string | null;
  volumeId?: string | null;
}

/** Fields that are left out stay as they are. */
export type BackendPatch = Partial<Omit<NewBackend, 'id'>>;

export class Backends {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /** All backends, oldest first. */
  async list(): Promise<Backend[]> {
    const rows = await this.#database.db
      .selectFrom('backends')
      .selectAll()
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    return rows.map(toBackend);
  }

  async get(id: string): Promise<Backend | null> {
    const row = await this.#database.db
      .selectFrom('backends')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : toBackend(row);
  }

  async getByName(name: string): Promise<Backend | null> {
    const row = await this.#database.db
      .selectFrom('backends')
      .selectAll()
      .where('name', '=', name)
      .executeTakeFirst();
    return row === undefined ? null : toBackend(row);
  }

  /** @throws HoldfastError `name_taken`; `conflict` when the volume belongs to another backend */
  async insert(backend: NewBackend): Promise<Backend> {
    const now = Date.now();
    try {
      const row = await this.#database.db
        .insertInto('backends')
        .values({
          id: backend.id ?? randomUUID(),
          name: backend.name,
          type: backend.type,
          config: JSON.stringify(backend.config),
          sealed_secrets: backend.sealedSecrets ?? null,
          volume_id: backend.volumeId ?? null,
          created_at: now,
          updated_at: now,
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      return toBackend(row);
    } catch (error) {
      throw refusal(error, backend);
    }
  }

  /**
   * @returns the backend as it is now; null when there is none with this id
   * @throws HoldfastError `name_taken`; `conflict` when the volume belongs to another backend
   */
  async update(id: string, patch: BackendPatch): Promise<Backend | null> {
    try {
      const row = await this.#database.db
        .updateTable('backends')
        .set({
          name: patch.name,
          type: patch.type,
          config: patch.config === undefined ? undefined : JSON.stringify(patch.config),
          sealed_secrets: patch.sealedSecrets,
          volume_id: patch.volumeId,
          updated_at: Date.now(),
        })
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirst();
      return row === undefined ? null : toBackend(row);
    } catch (error) {
      throw refusal(error, patch);
    }
  }

  /**
   * Removes a backend, its checksum records and the keys that are limited to it. The files stay where they are.
   * With `force` also what the catalog knows of the contents that it holds: the host file versions that refer to them go, and
   * its uploads under way fail.
   * @returns false when there is none with this id
   * @throws HoldfastError `backend_in_use` when it holds contents or uploads are under way there, and `force` is not given
   */
  async remove(id: string, options: { force?: boolean } = {}): Promise<boolean> {
    const { db } = this.#database;
    const backend = await this.get(id);
    if (backend === null) return false;
    if (options.force === true) {
      await this.#failUploads(backend);
      await forgetContents(this.#database, id);
    }
    await this.#requireUnused(backend);
    // In batches, so that other queries run in between; a checksum record lost to a crash is computed again.
    for (;;) {
      const batch = db
        .selectFrom('checksums')
        .select(['path_head', 'path_tail'])
        .where('backend_id', '=', id)
        .limit(REMOVAL_BATCH);
      const removed = await db
        .deleteFrom('checksums')
        .where('backend_id', '=', id)
        .where(({ eb, refTuple }) =>
          eb(refTuple('path_head', 'path_tail'), 'in', batch.$asTuple('path_head', 'path_tail')),
        )
        .executeTakeFirstOrThrow();
      if (removed.numDeletedRows < BigInt(REMOVAL_BATCH)) break;
    }
    try {
      const result = await db.deleteFrom('backends').where('id', '=', id).executeTakeFirstOrThrow();
      return result.numDeletedRows > 0n;
    } catch (error) {
      // A content that came since it was asked for; with it the foreign key refuses.
      await this.#requireUnused(backend);
      throw error;
    }
  }

  async #failUploads({ id, name }: Backend): Promise<void> {
    const uploads = new Uploads(this.#database);
    for (;;) {
      const batch = await uploads.openOn(id, { limit: REMOVAL_BATCH });
      for (const upload of batch) {
        await uploads.transition(upload.id, liveStatuses, 'failed', {
          errorCode: 'backend_not_found',
          errorDetail: `The backend "${name}" was removed while the upload was under way.`,
        });
      }
      if (batch.length < REMOVAL_BATCH) return;
    }
  }

  async #requireUnused({ id, name }: Backend): Promise<void> {
    const { contents } = await new Contents(this.#database).countByBackend(id);
    const { uploads } = await new Uploads(this.#database).reserved(id);
    if (contents === 0 && uploads === 0) return;
    const inUse =
      contents === 0
        ? `${uploads} ${uploads === 1 ? 'upload is' : 'uploads are'} under way to it`
        : `it holds ${contents} ${contents === 1 ? 'content' : 'contents'} of the vault`;
    throw new HoldfastError(
      'backend_in_use',
      `The backend "${name}" cannot be removed: ${inUse}. Remove it with force to give them up.`,
    );
  }
}

function toBackend(row: Selectable<BackendsTable>): Backend {
  return {
    id: row.id,
    name: row.name,
    type: row.type,
    config: parseJsonObject(row.config, 'backends.config'),
    sealedSecrets: row.sealed_secrets,
    volumeId: row.volume_id,
    createdAt: fromMillis(row.created_at),
    updatedAt: fromMillis(row.updated_at),
  };
}

function refusal(error: unknown, fields: { name?: string; volumeId?: string | null }): unknown {
  switch (violationOf(error)?.column) {
    case 'backends.name': {
      const message = `There is already a backend named "${fields.name ?? ''}". Choose another name.`;
      return new HoldfastError('name_taken', message, { cause: error, errors: [{ field: 'name', message }] });
    }
    case 'backends.volume_id': {
      const message = `The volume ${fields.volumeId ?? ''} already belongs to another backend. Use that one, or remove it first.`;
      return new HoldfastError('conflict', message, {
        cause: error,
        errors: [{ field: 'volume_id', message }],
      });
    }
    default:
      return error;
  }
}
