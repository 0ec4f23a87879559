import type { Insertable, Kysely, Selectable } from 'kysely';
import {
  fromMillis,
  fromMillisOrNull,
  parseJsonObject,
  toCount,
  toMillis,
  toMillisOrNull,
} from '../columns.ts';
import type { JsonObject } from '../columns.ts';
import type { DialectName } from '../migrations/migration.ts';
import { assertStorablePath } from '../path-key.ts';
import type { Schema } from '../tables/schema.ts';
import type { UploadProtocol, UploadStatus, UploadsTable } from '../tables/uploads-table.ts';

/** Statuses in which bytes may come. */
export const openStatuses = ['initiated', 'uploading'] as const satisfies UploadStatus[];
/** Statuses in which staged bytes are kept and room is reserved. */
export const liveStatuses = [...openStatuses, 'completing'] as const satisfies UploadStatus[];

/** An upload session. */
export interface Upload {
  id: string;
  protocol: UploadProtocol;
  status: UploadStatus;
  keyId: string;
  /** The name of the key. */
  actor: string;
  hostname: string;
  filepath: string;
  /** As announced, or as computed once the status is `completing`. */
  sha256: string | null;
  /** Bytes of the whole; null while it is not known. */
  size: number | null;
  chunkSize: number | null;
  totalChunks: number;
  mtime: Date | null;
  mode: number | null;
  backendId: string;
  /** What the backend's staging answered; null until `setStaging`. */
  stagingState: JsonObject | null;
  metadata: JsonObject | null;
  isPartial: boolean;
  /** Bytes acknowledged; the offset of a tus upload. */
  receivedBytes: number;
  /** Pieces that are kept: chunks, or what the PATCHes of tus were merged into. */
  receivedPieces: number;
  /** What the session reserves of its key's quota; 0 when it has ended. */
  reservedBytes: number;
  reservedFiles: number;
  fileId: string | null;
  deduplicated: boolean | null;
  errorCode: string | null;
  errorDetail: string | null;
  /** The hub that works on it while it is `completing`, and until when it says so. */
  leaseHub: string | null;
  leaseUntil: Date | null;
  createdAt: Date;
  expiresAt: Date;
  finishedAt: Date | null;
  /** The path of the backend at which it ends; null: it becomes a host file. */
  destinationPath: string | null;
  /** Whether it takes the place of a file at its destination. */
  overwrite: boolean;
}

export type NewUpload = Pick<
  Upload,
  'protocol' | 'keyId' | 'actor' | 'hostname' | 'filepath' | 'backendId' | 'expiresAt'
> &
  Partial<
    Pick<
      Upload,
      | 'id'
      | 'sha256'
      | 'size'
      | 'chunkSize'
      | 'totalChunks'
      | 'mtime'
      | 'mode'
      | 'stagingState'
      | 'metadata'
      | 'isPartial'
      | 'createdAt'
      | 'destinationPath'
      | 'overwrite'
    >
  > & {
    /** Bytes to reserve; default: the size. A tus upload that is put together from others passes 0: they have reserved. */
    reservedBytes?: number;
  };

/** @throws HoldfastError `invalid_path`, `invalid_request` */
export function toUploadRow(id: string, upload: NewUpload): Insertable<UploadsTable> {
  assertStorablePath(upload.filepath);
  assertStorablePath(upload.hostname);
  const destination = upload.destinationPath ?? null;
  if (destination !== null) assertStorablePath(destination);
  const size = upload.size ?? null;
  const chunkSize = upload.chunkSize ?? null;
  return {
    id,
    protocol: upload.protocol,
    status: 'initiated',
    key_id: upload.keyId,
    actor: upload.actor,
    hostname: upload.hostname,
    filepath: upload.filepath,
    sha256: upload.sha256 ?? null,
    size: size === null ? null : toCount(size, 'size of an upload'),
    chunk_size: chunkSize === null ? null : toCount(chunkSize, 'size of a chunk'),
    total_chunks: toCount(upload.totalChunks ?? 0, 'number of chunks'),
    mtime: toMillisOrNull(upload.mtime ?? null),
    mode: upload.mode ?? null,
    backend_id: upload.backendId,
    staging_state: jsonOrNull(upload.stagingState),
    metadata: jsonOrNull(upload.metadata),
    is_partial: Number(upload.isPartial ?? false),
    received_bytes: 0,
    received_pieces: 0,
    reserved_bytes: toCount(upload.reservedBytes ?? size ?? 0, 'number of bytes to reserve'),
    // A partial upload of tus becomes no file of its own, and a file at a path of a backend is none that a key keeps.
    reserved_files: upload.isPartial === true || destination !== null ? 0 : 1,
    file_id: null,
    deduplicated: null,
    error_code: null,
    error_detail: null,
    lease_hub: null,
    lease_until: null,
    created_at: upload.createdAt === undefined ? Date.now() : toMillis(upload.createdAt),
    expires_at: toMillis(upload.expiresAt),
    finished_at: null,
    destination_path: destination,
    overwrite: Number(upload.overwrite ?? false),
  };
}

export function toUpload(row: Selectable<UploadsTable>): Upload {
  return {
    id: row.id,
    protocol: row.protocol,
    status: row.status,
    keyId: row.key_id,
    actor: row.actor,
    hostname: row.hostname,
    filepath: row.filepath,
    sha256: row.sha256,
    size: row.size,
    chunkSize: row.chunk_size,
    totalChunks: row.total_chunks,
    mtime: fromMillisOrNull(row.mtime),
    mode: row.mode,
    backendId: row.backend_id,
    stagingState:
      row.staging_state === null ? null : parseJsonObject(row.staging_state, 'uploads.staging_state'),
    metadata: row.metadata === null ? null : parseJsonObject(row.metadata, 'uploads.metadata'),
    isPartial: row.is_partial !== 0,
    receivedBytes: row.received_bytes,
    receivedPieces: row.received_pieces,
    reservedBytes: row.reserved_bytes,
    reservedFiles: row.reserved_files,
    fileId: row.file_id,
    deduplicated: row.deduplicated === null ? null : row.deduplicated !== 0,
    errorCode: row.error_code,
    errorDetail: row.error_detail,
    leaseHub: row.lease_hub,
    leaseUntil: fromMillisOrNull(row.lease_until),
    createdAt: fromMillis(row.created_at),
    expiresAt: fromMillis(row.expires_at),
    finishedAt: fromMillisOrNull(row.finished_at),
    destinationPath: row.destination_path,
    overwrite: row.overwrite !== 0,
  };
}

/** Whether a session still takes bytes. */
export function isOpen(status: UploadStatus): boolean {
  return status === 'initiated' || status === 'uploading';
}

/** The row of a session, which nobody else can change until the transaction ends. */
export async function lockUpload(
  trx: Kysely<Schema>,
  dialect: DialectName,
  id: string,
): Promise<Selectable<UploadsTable> | undefined> {
  return await trx
    .selectFrom('uploads')
    .selectAll()
    .where('id', '=', id)
    .$if(dialect === 'postgres', (query) => query.forUpdate())
    .executeTakeFirst();
}

function jsonOrNull(value: JsonObject | null | undefined): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}
