export type ContentState = 'stored' | 'removing';

/** Its backend does not have the bytes, or has others. */
export type ContentDamage = 'missing' | 'mismatch';

/** A content of the vault. `removing_by` is the hub that removes it; `damage` is what a verification found. */
export interface ContentsTable {
  sha256: string;
  size: number;
  backend_id: string;
  state: ContentState;
  removing_by: string | null;
  created_at: number;
  damage: ContentDamage | null;
}
