export type OperationKind =
  | 'upload'
  | 'download'
  | 'delete'
  | 'access'
  | 'metadata_change'
  | 'sync'
  | 'verify';

/**
 * One line of the operation log. It outlives the backend it names, so `backend_id` is no reference.
 * `success` and `duplicate` are 0 or 1; `error` and `details` are JSON.
 */
export interface OperationsTable {
  id: string;
  operation: OperationKind;
  state: 'running' | 'finished';
  hub_id: string | null;
  actor: string | null;
  provider: string | null;
  backend_id: string | null;
  file: string | null;
  bytes: number;
  duration_ms: number | null;
  success: number | null;
  duplicate: number;
  error: string | null;
  details: string | null;
  started_at: number;
  finished_at: number | null;
}
