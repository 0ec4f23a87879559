import type { Expression, ExpressionBuilder, Selectable, SqlBool } from 'kysely';
import { fromMillis, fromMillisOrNull } from '../columns.ts';
import { HOST_FILE_HEAD_CHARACTERS, pathKey } from '../path-key.ts';
import type { PathKey } from '../path-key.ts';
import type { HostFilesTable } from '../tables/host-files-table.ts';
import type { Schema } from '../tables/schema.ts';

/** How far a caller sees: everything, one machine's files, or what one key recorded. */
export type HostFileReach =
  | { kind: 'all' }
  | { kind: 'hostname'; hostname: string }
  | { kind: 'key'; keyId: string };

/** One version of a file as it was seen on a machine. */
export interface HostFile {
  id: string;
  hostname: string;
  filepath: string;
  /** Counts up from 1 for each (hostname, filepath). */
  version: number;
  sha256: string;
  /** Bytes. */
  size: number;
  mtime: Date | null;
  mode: number | null;
  /** The newest version. */
  isCurrent: boolean;
  /** When it vanished on the machine, as was reported; never after `deletionNotedAt`. */
  deletedAt: Date | null;
  /** When the deletion was noted here: retention counts from this time, whatever the machine's clock says. */
  deletionNotedAt: Date | null;
  keyId: string;
  /** The name of the key. */
  actor: string;
  createdAt: Date;
}

export function toHostFile(row: Selectable<HostFilesTable>): HostFile {
  return {
    id: row.id,
    hostname: row.hostname,
    filepath: row.filepath,
    version: row.version,
    sha256: row.sha256,
    size: row.size,
    mtime: fromMillisOrNull(row.mtime),
    mode: row.mode,
    isCurrent: row.is_current !== 0,
    deletedAt: fromMillisOrNull(row.deleted_at),
    deletionNotedAt: fromMillisOrNull(row.deletion_noted_at),
    keyId: row.key_id,
    actor: row.actor,
    createdAt: fromMillis(row.created_at),
  };
}

/** What identifies the path of a host file in the indexes. */
export function hostFileKey(filepath: string): PathKey {
  return pathKey(filepath, HOST_FILE_HEAD_CHARACTERS);
}

/** The condition that a host file is within reach. */
export function withinReach(
  eb: ExpressionBuilder<Schema, 'host_files'>,
  reach: HostFileReach,
): Expression<SqlBool> {
  if (reach.kind === 'hostname') return eb('host_files.hostname', '=', reach.hostname);
  if (reach.kind === 'key') return eb('host_files.key_id', '=', reach.keyId);
  return eb.and([]);
}
