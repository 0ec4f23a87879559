import type { BackendsTable } from './backends-table.ts';
import type { ChecksumsTable } from './checksums-table.ts';
import type { ContentsTable } from './contents-table.ts';
import type { HostFilesTable } from './host-files-table.ts';
import type { KeyUsageTable } from './key-usage-table.ts';
import type { KeysTable } from './keys-table.ts';
import type { MetaTable } from './meta-table.ts';
import type { NodesTable } from './nodes-table.ts';
import type { OperationsTable } from './operations-table.ts';
import type { SettingsTable } from './settings-table.ts';
import type { UploadPiecesTable } from './upload-pieces-table.ts';
import type { UploadsTable } from './uploads-table.ts';
import type { WorkflowsTable } from './workflows-table.ts';

/** The tables as the newest migration leaves them. */
export interface Schema {
  backends: BackendsTable;
  checksums: ChecksumsTable;
  contents: ContentsTable;
  host_files: HostFilesTable;
  key_usage: KeyUsageTable;
  keys: KeysTable;
  meta: MetaTable;
  nodes: NodesTable;
  operations: OperationsTable;
  settings: SettingsTable;
  upload_pieces: UploadPiecesTable;
  uploads: UploadsTable;
  workflows: WorkflowsTable;
}
