export type ContentState = 'stored' | 'removing';

/** A content of the vault. `removing_by` is the hub that removes it. */
export interface ContentsTable {
  sha256: string;
  size: number;
  backend_id: string;
  state: ContentState;
  removing_by: string | null;
  created_at: number;
}
