import {
  MAX_CHUNK_URLS,
  type ChunkReceived,
  type Upload as UploadView,
  type UploadStarted,
} from '@holdfast/contract/uploads';
import type { TakenChunk, Upload, UploadState } from '../uploads/uploads.ts';

/** A session as the API shows it. */
export function uploadView({ upload, receivedChunks }: UploadState): UploadView {
  const isInChunks = upload.protocol === 'chunks';
  return {
    upload_id: upload.id,
    protocol: upload.protocol,
    status: upload.status,
    filepath: upload.destinationPath === null ? upload.filepath : null,
    hostname: upload.destinationPath === null ? upload.hostname : null,
    destination_path: upload.destinationPath,
    file_size: upload.size,
    sha256: upload.sha256,
    backend_id: upload.backendId,
    received_bytes: upload.receivedBytes,
    received_chunks: receivedChunks,
    uploaded_chunks: isInChunks ? upload.receivedPieces : 0,
    total_chunks: upload.totalChunks,
    chunk_size: upload.chunkSize ?? 0,
    actor: upload.actor,
    file_id: upload.fileId,
    error: upload.errorDetail,
    created_at: upload.createdAt.toISOString(),
    expires_at: upload.expiresAt.toISOString(),
  };
}

/** The answer to a client that may send its chunks now. */
export function startedView({ id, expiresAt, chunkSize, totalChunks }: Upload): UploadStarted {
  return {
    upload_id: id,
    expires_at: expiresAt.toISOString(),
    chunk_size: chunkSize ?? 0,
    total_chunks: totalChunks,
    chunk_urls: Array.from(
      { length: Math.min(totalChunks, MAX_CHUNK_URLS) },
      (_, num) => `/api/uploads/${id}/chunk/${num}`,
    ),
    deduplicated: false,
  };
}

/** The acknowledgement of a chunk. */
export function chunkView({ num, bytes, sha256, receivedChunks, totalChunks }: TakenChunk): ChunkReceived {
  return {
    chunk_num: num,
    etag: sha256,
    received_bytes: bytes,
    uploaded_chunks: receivedChunks,
    total_chunks: totalChunks,
  };
}
