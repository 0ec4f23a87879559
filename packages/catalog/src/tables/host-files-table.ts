/**
 * One version of a file as it was seen on a machine. `path_head` and `path_tail` are its key in the indexes (see
 * path-key.ts); `is_current` is 0 or 1, and at most one version of a file is current.
 */
export interface HostFilesTable {
  id: string;
  hostname: string;
  path_head: string;
  path_tail: string;
  filepath: string;
  version: number;
  sha256: string;
  size: number;
  mtime: number | null;
  mode: number | null;
  is_current: number;
  deleted_at: number | null;
  deletion_noted_at: number | null;
  key_id: string;
  actor: string;
  created_at: number;
}
