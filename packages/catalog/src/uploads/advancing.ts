import { HoldfastError } from '@holdfast/contract/errors';
import type { Kysely, Selectable } from 'kysely';
import { toCount, toMillis } from '../columns.ts';
import type { CatalogDatabase } from '../database.ts';
import { reserve } from '../key-usage.ts';
import type { Schema } from '../tables/schema.ts';
import type { UploadStatus, UploadsTable } from '../tables/uploads-table.ts';
import { laterOf } from './pieces.ts';
import { isOpen, lockUpload, toUpload } from './upload.ts';
import type { Upload } from './upload.ts';

/** The bytes from one offset to another that were acknowledged. */
export interface Advance {
  id: string;
  from: number;
  to: number;
  sha256: string | null;
  receipt: string | null;
  expiresAt: Date;
}

/**
 * `offset`: the upload goes on elsewhere. `too_large`: beyond its size. `closed`: it takes nothing any more; null: there is
 * no such session.
 */
export type AdvanceAnswer =
  | { kind: 'advanced' | 'offset' | 'too_large'; upload: Upload }
  | { kind: 'closed'; status: UploadStatus | null };

/**
 * Moves the offset of a tus upload, if it stands at `from`. While the size is not known, the reservation grows along.
 * @throws HoldfastError `quota_exceeded`: nothing is changed
 */
export async function advance({ db, dialect }: CatalogDatabase, step: Advance): Promise<AdvanceAnswer> {
  const { id, from, to } = step;
  const gain = toCount(toCount(to, 'new offset') - toCount(from, 'old offset'), 'number of bytes received');
  const expiry = toMillis(step.expiresAt);
  return await db.transaction().execute(async (trx) => {
    const row = await lockUpload(trx, dialect, id);
    if (row === undefined) return { kind: 'closed', status: null };
    if (!isOpen(row.status)) return { kind: 'closed', status: row.status };
    if (row.received_bytes !== from) return { kind: 'offset', upload: toUpload(row) };
    if (row.size !== null && to > row.size) return { kind: 'too_large', upload: toUpload(row) };
    const growth = row.size === null ? Math.max(0, to - row.reserved_bytes) : 0;
    if (growth > 0) await reserve(trx, row.key_id, { bytes: growth, files: 0 });
    const isNewPiece = gain > 0 && !(await mergeWithLast(trx, row, step, gain));
    const advanced = await trx
      .updateTable('uploads')
      .set({
        status: 'uploading',
        received_bytes: to,
        received_pieces: row.received_pieces + Number(isNewPiece),
        reserved_bytes: row.reserved_bytes + growth,
        expires_at: laterOf(expiry),
      })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow();
    return { kind: 'advanced', upload: toUpload(advanced) };
  });
}

/**
 * One row for what is adjacent, unless the backend wants receipts back: a million PATCHes are not a million rows.
 * @returns false when it became a row of its own
 */
async function mergeWithLast(
  trx: Kysely<Schema>,
  upload: Selectable<UploadsTable>,
  { from, sha256, receipt }: Advance,
  bytes: number,
): Promise<boolean> {
  if (receipt === null) {
    const merged = await trx
      .updateTable('upload_pieces')
      .set(({ eb }) => ({ bytes: eb('bytes', '+', bytes), sha256: null }))
      .where('upload_id', '=', upload.id)
      .where('num', '=', upload.received_pieces - 1)
      .where('receipt', 'is', null)
      .executeTakeFirstOrThrow();
    if (merged.numUpdatedRows > 0n) return true;
  }
  await trx
    .insertInto('upload_pieces')
    .values({ upload_id: upload.id, num: upload.received_pieces, position: from, bytes, sha256, receipt })
    .execute();
  return false;
}

/**
 * Tells the size of an upload that was begun without one, and reserves it. The size that is known already changes nothing.
 * @returns null when the session takes nothing any more, or is not there
 * @throws HoldfastError `quota_exceeded`; `conflict` when another size is known; `invalid_request` below what was received
 */
export async function setSize(
  { db, dialect }: CatalogDatabase,
  id: string,
  size: number,
): Promise<Upload | null> {
  toCount(size, 'size of an upload');
  return await db.transaction().execute(async (trx) => {
    const row = await lockUpload(trx, dialect, id);
    if (row === undefined || !isOpen(row.status)) return null;
    if (row.size === size) return toUpload(row);
    if (row.size !== null) {
      throw new HoldfastError(
        'conflict',
        `The upload has ${row.size} bytes, as was told before; not ${size}.`,
      );
    }
    if (size < row.received_bytes) {
      throw new HoldfastError(
        'invalid_request',
        `${row.received_bytes} bytes of the upload were received; it cannot have ${size}.`,
      );
    }
    const growth = Math.max(0, size - row.reserved_bytes);
    if (growth > 0) await reserve(trx, row.key_id, { bytes: growth, files: 0 });
    const sized = await trx
      .updateTable('uploads')
      .set({ size, reserved_bytes: row.reserved_bytes + growth })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow();
    return toUpload(sized);
  });
}
