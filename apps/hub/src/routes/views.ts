import { nameOf } from '@holdfast/bytes/backend-path';
import type { Operation as OperationRow } from '@holdfast/catalog/operations';
import type { StorageFile } from '@holdfast/contract/files';
import type { Operation } from '@holdfast/contract/operations';
import type { LibraryEntry } from '../library/library.ts';
import { mediaTypeOf } from '../serving/headers.ts';

/** An entry of the library as the API shows it. */
export function storageFileView({ entry, checksum, itemCount }: LibraryEntry): StorageFile {
  return {
    name: nameOf(entry.path),
    path: entry.path,
    type: entry.type,
    size: entry.size,
    mime_type: entry.type === 'file' ? mediaTypeOf(entry.path) : null,
    modified_at: entry.modifiedAt.toISOString(),
    item_count: itemCount,
    checksum_sha256: checksum?.sha256 ?? null,
    computed_at: checksum?.computedAt.toISOString() ?? null,
  };
}

/** A line of the operation log as the API shows it. */
export function operationView(row: OperationRow): Operation {
  return {
    operation_id: row.id,
    operation: row.operation,
    state: row.state,
    actor: row.actor,
    provider: row.provider,
    backend_id: row.backendId,
    file: row.file,
    bytes: row.bytes,
    duration_ms: row.durationMs,
    success: row.success,
    duplicate: row.duplicate,
    error: row.error,
    details: row.details,
    started_at: row.startedAt.toISOString(),
    finished_at: row.finishedAt?.toISOString() ?? null,
  };
}

/** The envelope of one thing. */
export function success<T>(data: T): { success: true; data: T } {
  return { success: true, data };
}

/** The envelope of one page of a list. */
export function page<Row, View>(
  rows: { rows: Row[]; total: number; nextCursor?: string },
  view: (row: Row) => View,
): { success: true; data: View[]; total: number; next_cursor?: string } {
  return {
    success: true,
    data: rows.rows.map(view),
    total: rows.total,
    ...(rows.nextCursor === undefined ? {} : { next_cursor: rows.nextCursor }),
  };
}
