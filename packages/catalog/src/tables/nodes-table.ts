export type NodeState =
  | 'discovered'
  | 'pending'
  | 'installing'
  | 'installed'
  | 'active'
  | 'ignored'
  | 'retired';

/** A machine that boots. */
export interface NodesTable {
  id: string;
  mac: string;
  name: string | null;
  state: NodeState;
  workflow_id: string | null;
  arch: string | null;
  uuid: string | null;
  serial: string | null;
  vendor: string | null;
  model: string | null;
  last_ip: string | null;
  token_hash: string | null;
  last_seen_at: number | null;
  installed_at: number | null;
  created_at: number;
  updated_at: number;
}
