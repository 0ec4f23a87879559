export type UploadProtocol = 'chunks' | 'tus';

export type UploadStatus =
  | 'initiated'
  | 'uploading'
  | 'completing'
  | 'completed'
  | 'failed'
  | 'aborted'
  | 'expired';

/**
 * An upload session. It outlives the backend that it names, so `backend_id` is no reference. `staging_state` and
 * `metadata` are JSON objects; `is_partial`, `deduplicated` and `overwrite` are 0 or 1. With
 * a `destination_path` it ends at that path of the backend: then `hostname` is empty and `filepath` is that path.
 */
export interface UploadsTable {
  id: string;
  protocol: UploadProtocol;
  status: UploadStatus;
  key_id: string;
  actor: string;
  hostname: string;
  filepath: string;
  sha256: string | null;
  size: number | null;
  chunk_size: number | null;
  total_chunks: number;
  mtime: number | null;
  mode: number | null;
  backend_id: string;
  staging_state: string | null;
  metadata: string | null;
  is_partial: number;
  received_bytes: number;
  received_pieces: number;
  reserved_bytes: number;
  reserved_files: number;
  file_id: string | null;
  deduplicated: number | null;
  error_code: string | null;
  error_detail: string | null;
  lease_hub: string | null;
  lease_until: number | null;
  created_at: number;
  expires_at: number;
  finished_at: number | null;
  destination_path: string | null;
  overwrite: number;
}
