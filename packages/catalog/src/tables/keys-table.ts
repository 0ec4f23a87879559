export type KeyOrigin = 'issued' | 'environment' | 'generated';

/** An API key: only the hash of its token is kept. `scopes` is a JSON list of strings. */
export interface KeysTable {
  id: string;
  name: string;
  hash: string;
  hint: string;
  scopes: string;
  backend_id: string | null;
  path_prefix: string | null;
  hostname: string | null;
  quota_bytes: number | null;
  quota_files: number | null;
  origin: KeyOrigin;
  expires_at: number | null;
  last_used_at: number | null;
  revoked_at: number | null;
  created_at: number;
}
