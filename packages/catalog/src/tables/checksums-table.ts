/**
 * (backend, path) → SHA-256, size and the validator it was computed for.
 * `path_key` is the hex SHA-256 of the path: PostgreSQL cannot index a text of more than 2,704 bytes, and paths
 * may be longer.
 */
export interface ChecksumsTable {
  backend_id: string;
  path_key: string;
  path: string;
  sha256: string;
  size: number;
  validator: string;
  computed_at: number;
}
