import { sql } from 'kysely';
import type { Kysely, Selectable } from 'kysely';
import { batches } from '../batches.ts';
import { toCount, toMillis } from '../columns.ts';
import type { CatalogDatabase } from '../database.ts';
import type { Schema } from '../tables/schema.ts';
import type { UploadPiecesTable } from '../tables/upload-pieces-table.ts';
import type { UploadStatus } from '../tables/uploads-table.ts';
import { isOpen } from './upload.ts';

const BATCH = 500;
/** Sessions in one update: each row is compared with half of them. */
const SESSION_BATCH = 100;

/** Bytes of an upload that were acknowledged. */
export interface Piece {
  num: number;
  /** The offset of its first byte in the whole. */
  position: number;
  bytes: number;
  /** Null where adjacent pieces of a tus upload became one. */
  sha256: string | null;
  /** What the backend wants to be given back. */
  receipt: string | null;
}

export interface NewPiece extends Piece {
  uploadId: string;
  sha256: string;
}

/**
 * What became of a piece. `added` and `same` (these bytes were known) tell how far the session is, with the whole group.
 * `conflict`: other bytes were received for this number before. `closed`: the session takes none; null: there is none.
 */
export type PieceAnswer =
  | { kind: 'added' | 'same'; receivedBytes: number; receivedPieces: number; receipt: string | null }
  | { kind: 'conflict'; sha256: string }
  | { kind: 'closed'; status: UploadStatus | null };

interface Progress {
  bytes: number;
  pieces: number;
}

/**
 * Notes pieces of any sessions in one transaction, with a number of statements that does not grow with the sessions.
 * The expiry of each session slides to `expiresAt`, never back.
 * @returns the answers, in the order of the pieces
 */
export async function addPieces(
  { db, dialect }: CatalogDatabase,
  pieces: readonly NewPiece[],
  expiresAt: Date,
): Promise<PieceAnswer[]> {
  if (pieces.length === 0) return [];
  const expiry = toMillis(expiresAt);
  const ids = [...new Set(pieces.map(({ uploadId }) => uploadId))].toSorted();
  return await db.transaction().execute(async (trx) => {
    const statuses = new Map<string, UploadStatus>();
    for (const batch of batches(ids, BATCH)) {
      const rows = await trx
        .selectFrom('uploads')
        .select(['id', 'status'])
        .where('id', 'in', batch)
        .orderBy('id')
        // A complete or an abort that comes meanwhile waits, and then sees the pieces.
        .$if(dialect === 'postgres', (query) => query.forUpdate())
        .execute();
      for (const { id, status } of rows) statuses.set(id, status);
    }

    const kept = new Map<string, { sha256: string | null; receipt: string | null }>();
    const wanted = new Map<string, NewPiece>();
    for (const piece of pieces) {
      const status = statuses.get(piece.uploadId);
      const key = keyOf(piece.uploadId, piece.num);
      if (status !== undefined && isOpen(status) && !wanted.has(key)) wanted.set(key, piece);
    }
    const added = await insertPieces(trx, [...wanted.values()]);
    for (const [key, piece] of wanted) if (added.has(key)) kept.set(key, piece);
    const earlier = [...wanted].filter(([key]) => !added.has(key)).map(([, piece]) => piece);
    for (const [id, group] of Map.groupBy(earlier, ({ uploadId }) => uploadId)) {
      for (const batch of batches(group, BATCH)) {
        const rows = await trx
          .selectFrom('upload_pieces')
          .select(['num', 'sha256', 'receipt'])
          .where('upload_id', '=', id)
          .where(
            'num',
            'in',
            batch.map(({ num }) => num),
          )
          .execute();
        for (const row of rows) kept.set(keyOf(id, row.num), row);
      }
    }

    const gains = new Map<string, Progress>();
    for (const [key, piece] of wanted) {
      const gain = gains.get(piece.uploadId) ?? { bytes: 0, pieces: 0 };
      if (added.has(key)) {
        gain.bytes += piece.bytes;
        gain.pieces += 1;
      }
      gains.set(piece.uploadId, gain);
    }
    const progress = await advanceSessions(trx, gains, expiry);

    return pieces.map((piece): PieceAnswer => {
      const key = keyOf(piece.uploadId, piece.num);
      const record = kept.get(key);
      const now = progress.get(piece.uploadId);
      if (record === undefined || now === undefined) {
        return { kind: 'closed', status: statuses.get(piece.uploadId) ?? null };
      }
      if (record.sha256 !== piece.sha256) return { kind: 'conflict', sha256: record.sha256 ?? '' };
      return {
        kind: added.has(key) && wanted.get(key) === piece ? 'added' : 'same',
        receivedBytes: now.bytes,
        receivedPieces: now.pieces,
        receipt: record.receipt,
      };
    });
  });
}

/** @returns the keys of those that were not there */
async function insertPieces(trx: Kysely<Schema>, pieces: readonly NewPiece[]): Promise<Set<string>> {
  const added = new Set<string>();
  for (const batch of batches(pieces, BATCH)) {
    const rows = await trx
      .insertInto('upload_pieces')
      .values(
        batch.map((piece) => ({
          upload_id: piece.uploadId,
          num: toCount(piece.num, 'number of a chunk'),
          position: toCount(piece.position, 'position of a chunk'),
          bytes: toCount(piece.bytes, 'size of a chunk'),
          sha256: piece.sha256,
          receipt: piece.receipt,
        })),
      )
      .onConflict((conflict) => conflict.columns(['upload_id', 'num']).doNothing())
      .returning(['upload_id', 'num'])
      .execute();
    for (const row of rows) added.add(keyOf(row.upload_id, row.num));
  }
  return added;
}

async function advanceSessions(
  trx: Kysely<Schema>,
  gains: ReadonlyMap<string, Progress>,
  expiry: number,
): Promise<Map<string, Progress>> {
  const progress = new Map<string, Progress>();
  for (const batch of batches([...gains], SESSION_BATCH)) {
    const rows = await trx
      .updateTable('uploads')
      .set({
        received_bytes: sql<number>`received_bytes + ${byId(batch, ({ bytes }) => bytes)}`,
        received_pieces: sql<number>`received_pieces + ${byId(batch, ({ pieces }) => pieces)}`,
        status: 'uploading',
        expires_at: laterOf(expiry),
      })
      .where(
        'id',
        'in',
        batch.map(([id]) => id),
      )
      .returning(['id', 'received_bytes', 'received_pieces'])
      .execute();
    for (const row of rows) progress.set(row.id, { bytes: row.received_bytes, pieces: row.received_pieces });
  }
  return progress;
}

/** What is added to each session: one expression for all of them. */
function byId(batch: readonly (readonly [string, Progress])[], amount: (gain: Progress) => number) {
  const cases = batch.map(([id, gain]) => sql`when ${id} then cast(${amount(gain)} as bigint)`);
  return sql<number>`case id ${sql.join(cases, sql` `)} else 0 end`;
}

/** The later one of the expiry that a session has and a new one. */
export function laterOf(expiry: number) {
  return sql<number>`case when expires_at < ${expiry} then ${expiry} else expires_at end`;
}

export async function pieceOf(db: Kysely<Schema>, uploadId: string, num: number): Promise<Piece | null> {
  const row = await db
    .selectFrom('upload_pieces')
    .selectAll()
    .where('upload_id', '=', uploadId)
    .where('num', '=', num)
    .executeTakeFirst();
  return row === undefined ? null : toPiece(row);
}

/** By position. */
export async function piecesOf(db: Kysely<Schema>, uploadId: string): Promise<Piece[]> {
  const rows = await db
    .selectFrom('upload_pieces')
    .selectAll()
    .where('upload_id', '=', uploadId)
    // The numbers go up with the positions, and they are what the index is sorted by.
    .orderBy('num')
    .execute();
  return rows.map(toPiece);
}

/** The numbers of the pieces as ranges, both ends included. */
export async function pieceRanges(db: Kysely<Schema>, uploadId: string): Promise<[number, number][]> {
  // Within a run of numbers, number minus rank stays the same.
  const { rows } = await sql<{ first: number; last: number }>`
    select min(num) as first, max(num) as last
    from (
      select num, num - row_number() over (order by num) as run from upload_pieces where upload_id = ${uploadId}
    ) as numbered
    group by run order by first
  `.execute(db);
  return rows.map(({ first, last }) => [first, last]);
}

function toPiece(row: Selectable<UploadPiecesTable>): Piece {
  return {
    num: row.num,
    position: row.position,
    bytes: row.bytes,
    sha256: row.sha256,
    receipt: row.receipt,
  };
}

function keyOf(uploadId: string, num: number): string {
  return `${num} ${uploadId}`;
}
