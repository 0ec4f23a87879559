export type BackendType = 'local' | 'nfs' | 'http' | 's3' | 'iscsi';

/** A configured storage. `config` is JSON without secrets; those are sealed in `sealed_secrets`. */
export interface BackendsTable {
  id: string;
  name: string;
  type: BackendType;
  config: string;
  sealed_secrets: string | null;
  volume_id: string | null;
  created_at: number;
  updated_at: number;
}
