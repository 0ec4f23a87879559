/**
 * (backend, path) → SHA-256, size and the validator it was computed for.
 * `path_head` and `path_tail` are the key: PostgreSQL cannot index a text of more than 2,704 bytes, and paths may be
 * longer (see path-key.ts).
 */
export interface ChecksumsTable {
  backend_id: string;
  path_head: string;
  path_tail: string;
  path: string;
  sha256: string;
  size: number;
  validator: string;
  computed_at: number;
}
