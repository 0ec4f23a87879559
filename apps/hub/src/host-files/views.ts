import type { HostFile as HostFileRow } from '@holdfast/catalog/host-files';
import type { HostFile } from '@holdfast/contract/host-files';

/** A version of a host file as the API shows it. */
export function hostFileView(row: HostFileRow, retentionMs: number): HostFile {
  const { deletedAt, deletionNotedAt } = row;
  return {
    file_id: row.id,
    hostname: row.hostname,
    filepath: row.filepath,
    sha256: row.sha256,
    file_size: row.size,
    mtime: row.mtime?.toISOString() ?? null,
    mode: row.mode,
    version: row.version,
    is_current: row.isCurrent,
    status: deletedAt === null ? 'active' : 'deleted',
    deleted_at: deletedAt?.toISOString() ?? null,
    restorable_until:
      deletionNotedAt !== null && row.isCurrent
        ? new Date(deletionNotedAt.getTime() + retentionMs).toISOString()
        : null,
    uploaded_by: row.actor,
    created_at: row.createdAt.toISOString(),
  };
}
