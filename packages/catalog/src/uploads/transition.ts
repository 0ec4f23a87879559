import type { Kysely, Updateable } from 'kysely';
import { toMillis } from '../columns.ts';
import { changeUsage } from '../key-usage.ts';
import type { Schema } from '../tables/schema.ts';
import type { UploadStatus, UploadsTable } from '../tables/uploads-table.ts';
import { isOpen, toUpload } from './upload.ts';
import type { Upload } from './upload.ts';

/** What can be changed together with a status. */
export interface UploadPatch {
  sha256?: string;
  /** Bytes. */
  size?: number;
  errorCode?: string;
  errorDetail?: string;
  expiresAt?: Date;
  /** Default, for a status that ends the session: now. */
  finishedAt?: Date;
}

/** Changes the status of a session that the caller has locked. A status that ends it releases what it reserved. */
export async function moveTo(
  trx: Kysely<Schema>,
  upload: Upload,
  to: UploadStatus,
  patch: UploadPatch,
): Promise<Upload> {
  const changes: Updateable<UploadsTable> = {
    status: to,
    sha256: patch.sha256,
    size: patch.size,
    error_code: patch.errorCode,
    error_detail: patch.errorDetail,
    expires_at: patch.expiresAt === undefined ? undefined : toMillis(patch.expiresAt),
    lease_hub: null,
    lease_until: null,
  };
  if (!isOpen(to) && to !== 'completing') {
    changes.finished_at = patch.finishedAt === undefined ? Date.now() : toMillis(patch.finishedAt);
    changes.reserved_bytes = 0;
    changes.reserved_files = 0;
    if (upload.reservedBytes > 0 || upload.reservedFiles > 0) {
      await changeUsage(trx, upload.keyId, {
        reservedBytes: -upload.reservedBytes,
        reservedFiles: -upload.reservedFiles,
      });
    }
  }
  const row = await trx
    .updateTable('uploads')
    .set(changes)
    .where('id', '=', upload.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  return toUpload(row);
}
