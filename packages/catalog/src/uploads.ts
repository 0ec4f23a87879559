import { randomUUID } from 'node:crypto';
import { sumOf } from './aggregates.ts';
import { batches } from './batches.ts';
import { toMillis } from './columns.ts';
import type { JsonObject } from './columns.ts';
import { decodeTimeCursor, encodeTimeCursor, rowsToFetch, toPage } from './cursor.ts';
import type { CountedPage } from './cursor.ts';
import type { CatalogDatabase } from './database.ts';
import { reserve } from './key-usage.ts';
import type { UploadStatus } from './tables/uploads-table.ts';
import { advance, setSize } from './uploads/advancing.ts';
import type { Advance, AdvanceAnswer } from './uploads/advancing.ts';
import { finishUpload } from './uploads/finishing.ts';
import type { FinishAnswer, FinishUpload } from './uploads/finishing.ts';
import { addPieces, laterOf, pieceOf, pieceRanges, piecesOf } from './uploads/pieces.ts';
import type { NewPiece, Piece, PieceAnswer } from './uploads/pieces.ts';
import { purgeEnded } from './uploads/purging.ts';
import { moveTo } from './uploads/transition.ts';
import type { UploadPatch } from './uploads/transition.ts';
import { isOpen, liveStatuses, lockUpload, openStatuses, toUpload, toUploadRow } from './uploads/upload.ts';
import type { NewUpload, Upload } from './uploads/upload.ts';

export type {
  Advance,
  AdvanceAnswer,
  FinishAnswer,
  FinishUpload,
  NewPiece,
  NewUpload,
  Piece,
  PieceAnswer,
  Upload,
  UploadPatch,
  UploadStatus,
};

const LIST = 'uploads';
const BATCH = 500;

export interface UploadListOptions {
  keyId?: string;
  status?: UploadStatus;
  limit: number;
  cursor?: string;
}

/** What the live sessions of a backend take. */
export interface ReservedSpace {
  /** Reserved, received or not. */
  bytes: number;
  /** Received already, and so on the backend. */
  receivedBytes: number;
  uploads: number;
}

/**
 * Upload sessions, and the pieces of them that were acknowledged. A session reserves room of its key's quota from its
 * insertion to its end; both are changed in one transaction.
 */
export class Uploads {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /**
   * Begins a session, and reserves for it.
   * @throws HoldfastError `quota_exceeded`, `invalid_path`, `invalid_request`
   */
  async insert(upload: NewUpload): Promise<Upload> {
    const row = toUploadRow(upload.id ?? randomUUID(), upload);
    return await this.#database.db.transaction().execute(async (trx) => {
      await reserve(trx, row.key_id, { bytes: row.reserved_bytes, files: row.reserved_files });
      return toUpload(await trx.insertInto('uploads').values(row).returningAll().executeTakeFirstOrThrow());
    });
  }

  /** Keeps what the backend's staging answered. Null when the session takes no bytes (any more). */
  async setStaging(id: string, state: JsonObject): Promise<Upload | null> {
    const row = await this.#database.db
      .updateTable('uploads')
      .set({ staging_state: JSON.stringify(state) })
      .where('id', '=', id)
      .where('status', 'in', openStatuses)
      .returningAll()
      .executeTakeFirst();
    return row === undefined ? null : toUpload(row);
  }

  async get(id: string): Promise<Upload | null> {
    const row = await this.#database.db
      .selectFrom('uploads')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : toUpload(row);
  }

  /** Those that are there, by id. */
  async getMany(ids: readonly string[]): Promise<Map<string, Upload>> {
    const found = new Map<string, Upload>();
    for (const batch of batches(ids, BATCH)) {
      const rows = await this.#database.db
        .selectFrom('uploads')
        .selectAll()
        .where('id', 'in', batch)
        .execute();
      for (const row of rows) found.set(row.id, toUpload(row));
    }
    return found;
  }

  /** Newest first. `total` counts the whole list, the filters considered. */
  async list(options: UploadListOptions): Promise<CountedPage<Upload>> {
    const after = options.cursor === undefined ? null : decodeTimeCursor(LIST, options.cursor);
    let all = this.#database.db.selectFrom('uploads');
    if (options.keyId !== undefined) all = all.where('key_id', '=', options.keyId);
    if (options.status !== undefined) all = all.where('status', '=', options.status);
    let query = all
      .selectAll()
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .limit(rowsToFetch(options.limit));
    if (after !== null) {
      query = query.where(({ eb, refTuple, tuple }) =>
        eb(refTuple('created_at', 'id'), '<', tuple(after.at, after.id)),
      );
    }
    const rows = await query.execute();
    const { total } = await all
      .select(({ fn }) => fn.countAll<number>().as('total'))
      .executeTakeFirstOrThrow();
    const page = toPage(rows, options.limit, toUpload, (row) =>
      encodeTimeCursor(LIST, { at: row.created_at, id: row.id }),
    );
    return { ...page, total };
  }

  /** What the sessions that are initiated, uploading or completing take of a backend. */
  async reserved(backendId: string): Promise<ReservedSpace> {
    const row = await this.#database.db
      .selectFrom('uploads')
      .select(({ fn, ref }) => [
        sumOf(ref('reserved_bytes')).as('bytes'),
        sumOf(ref('received_bytes')).as('received'),
        fn.countAll<number>().as('count'),
      ])
      .where('backend_id', '=', backendId)
      .where('status', 'in', liveStatuses)
      .executeTakeFirstOrThrow();
    return { bytes: row.bytes, receivedBytes: row.received, uploads: row.count };
  }

  /** Up to `limit` sessions of a backend that are initiated, uploading or completing, by id, after the id `after`. */
  async openOn(backendId: string, options: { after?: string; limit: number }): Promise<Upload[]> {
    rowsToFetch(options.limit);
    let query = this.#database.db
      .selectFrom('uploads')
      .selectAll()
      .where('backend_id', '=', backendId)
      .where('status', 'in', liveStatuses)
      .orderBy('id')
      .limit(options.limit);
    if (options.after !== undefined) query = query.where('id', '>', options.after);
    return (await query.execute()).map(toUpload);
  }

  /** All sessions in a status, oldest first. Meant for `completing`, in which few are. */
  async inStatus(status: UploadStatus): Promise<Upload[]> {
    const rows = await this.#database.db
      .selectFrom('uploads')
      .selectAll()
      .where('status', '=', status)
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    return rows.map(toUpload);
  }

  /** How many sessions there are, tombstones included. */
  async countByStatus(): Promise<Map<UploadStatus, number>> {
    const rows = await this.#database.db
      .selectFrom('uploads')
      .select(({ fn }) => ['status', fn.countAll<number>().as('count')])
      .groupBy('status')
      .execute();
    return new Map(rows.map(({ status, count }) => [status, count]));
  }

  /** @see addPieces @throws HoldfastError `invalid_request` */
  async addPieces(pieces: readonly NewPiece[], expiresAt: Date): Promise<PieceAnswer[]> {
    return await addPieces(this.#database, pieces, expiresAt);
  }

  async piece(id: string, num: number): Promise<Piece | null> {
    return await pieceOf(this.#database.db, id, num);
  }

  /** All pieces of a session, by position. */
  async pieces(id: string): Promise<Piece[]> {
    return await piecesOf(this.#database.db, id);
  }

  /** The numbers of the received pieces as ranges, both ends included. */
  async pieceNumbers(id: string): Promise<[number, number][]> {
    return await pieceRanges(this.#database.db, id);
  }

  /** @see advance @throws HoldfastError `quota_exceeded`, `invalid_request` */
  async advance(step: Advance): Promise<AdvanceAnswer> {
    return await advance(this.#database, step);
  }

  /** @see setSize @throws HoldfastError `quota_exceeded`, `conflict`, `invalid_request` */
  async setSize(id: string, size: number): Promise<Upload | null> {
    return await setSize(this.#database, id, size);
  }

  /** Lets a session that takes bytes live until `expiresAt`, or longer. False when it takes none (any more). */
  async slide(id: string, expiresAt: Date): Promise<boolean> {
    const result = await this.#database.db
      .updateTable('uploads')
      .set({ expires_at: laterOf(toMillis(expiresAt)) })
      .where('id', '=', id)
      .where('status', 'in', openStatuses)
      .executeTakeFirstOrThrow();
    return result.numUpdatedRows > 0n;
  }

  /**
   * Changes the status, if it is one of `from`. A status that ends the session releases what it reserved.
   * @returns null when it was none of `from`
   */
  async transition(
    id: string,
    from: readonly UploadStatus[],
    to: UploadStatus,
    patch: UploadPatch = {},
  ): Promise<Upload | null> {
    const { db, dialect } = this.#database;
    return await db.transaction().execute(async (trx) => {
      const row = await lockUpload(trx, dialect, id);
      if (row === undefined || !from.includes(row.status)) return null;
      return await moveTo(trx, toUpload(row), to, patch);
    });
  }

  /**
   * Takes the work on a `completing` session for a hub, unless the lease of another one is live. The same hub again
   * prolongs its lease.
   * @returns null when another hub has it, or the status is another one
   */
  async claim(id: string, hubId: string, lease: { now: Date; until: Date }): Promise<Upload | null> {
    const row = await this.#database.db
      .updateTable('uploads')
      .set({ lease_hub: hubId, lease_until: toMillis(lease.until) })
      .where('id', '=', id)
      .where('status', '=', 'completing')
      .where(({ eb, or }) =>
        or([
          eb('lease_hub', 'is', null),
          eb('lease_hub', '=', hubId),
          eb('lease_until', '<', toMillis(lease.now)),
        ]),
      )
      .returningAll()
      .executeTakeFirst();
    return row === undefined ? null : toUpload(row);
  }

  /** @see finishUpload */
  async finish(request: FinishUpload): Promise<FinishAnswer> {
    return await finishUpload(this.#database, request);
  }

  /** Up to `limit` sessions that take bytes and expired before `now`, the longest expired first. */
  async expiredBefore(now: Date, limit: number): Promise<Upload[]> {
    rowsToFetch(limit);
    const rows = await this.#database.db
      .selectFrom('uploads')
      .selectAll()
      .where('status', 'in', openStatuses)
      .where('expires_at', '<', toMillis(now))
      .orderBy('expires_at')
      .limit(limit)
      .execute();
    return rows.map(toUpload);
  }

  /** Ends a session that expired before `now`. Null when it takes no bytes, or its expiry slid meanwhile. */
  async expire(id: string, now: Date): Promise<Upload | null> {
    const { db, dialect } = this.#database;
    const millis = toMillis(now);
    return await db.transaction().execute(async (trx) => {
      const row = await lockUpload(trx, dialect, id);
      if (row === undefined || !isOpen(row.status) || row.expires_at >= millis) return null;
      return await moveTo(trx, toUpload(row), 'expired', { finishedAt: now });
    });
  }

  /**
   * Removes up to `limit` sessions that ended before a time, with their pieces.
   * @returns how many were removed; call again while it is `limit`
   */
  async purge(endedBefore: Date, limit: number): Promise<number> {
    return await purgeEnded(this.#database, toMillis(endedBefore), limit);
  }
}
