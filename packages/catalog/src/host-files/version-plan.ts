import type { HoldfastError } from '@holdfast/contract/errors';
import type { Selectable } from 'kysely';
import { orderedId } from '../ordered-id.ts';
import type { HostFilesTable } from '../tables/host-files-table.ts';
import { hostFileKey } from './host-file.ts';

type Row = Selectable<HostFilesTable>;

/** A file that was seen; its content is known and kept. Times in milliseconds. */
export interface SeenFile {
  hostname: string;
  filepath: string;
  sha256: string;
  size: number;
  mtime: number | null;
  mode: number | null;
  keyId: string;
  actor: string;
}

/** The version that a file has become, or why it has become none. */
export type PlannedFile = { row: Row; created: boolean } | { refusal: HoldfastError };

export interface VersionPlan {
  /** For each file, in order. */
  files: PlannedFile[];
  /** Rows to insert, in order. */
  inserts: Row[];
  /** Ids of stored rows that are not current any more. */
  retired: string[];
  /** Stored rows whose mtime or mode changed. */
  touched: Row[];
}

/**
 * Which versions files become. One whose current version is not deleted and has the same bytes stays that version, with the
 * newer mtime and mode; otherwise it becomes the next version. A file that comes twice is taken in order.
 * @param current the current versions that are stored, by `fileKey`; they are not changed
 * @param admit asked before each new version; an error refuses that file
 * @param at milliseconds; no version is made older than the one before it
 */
export function planVersions(
  seen: readonly SeenFile[],
  current: ReadonlyMap<string, Row>,
  admit: (file: SeenFile) => HoldfastError | null,
  at: number,
): VersionPlan {
  const newest = new Map<string, Row>();
  const inserts: Row[] = [];
  const retired: string[] = [];
  const touched = new Set<Row>();
  const stored = new Set<Row>();
  const files = seen.map((file): PlannedFile => {
    const key = fileKey(file.hostname, file.filepath);
    let row = newest.get(key);
    if (row === undefined) {
      const known = current.get(key);
      if (known !== undefined) {
        row = { ...known };
        stored.add(row);
        newest.set(key, row);
      }
    }
    if (row !== undefined && row.deletion_noted_at === null && row.sha256 === file.sha256) {
      const { mtime, mode } = row;
      row.mtime = file.mtime ?? mtime;
      row.mode = file.mode ?? mode;
      if (stored.has(row) && (row.mtime !== mtime || row.mode !== mode)) touched.add(row);
      return { row, created: false };
    }
    const refusal = admit(file);
    if (refusal !== null) return { refusal };
    if (row !== undefined) {
      row.is_current = 0;
      if (stored.has(row)) retired.push(row.id);
    }
    const next = toRow(file, (row?.version ?? 0) + 1, Math.max(at, row?.created_at ?? at));
    newest.set(key, next);
    inserts.push(next);
    return { row: next, created: true };
  });
  return { files, inserts, retired, touched: [...touched] };
}

/** The key of a file in the maps of a plan. */
export function fileKey(hostname: string, filepath: string): string {
  return `${hostname}\0${filepath}`;
}

function toRow(file: SeenFile, version: number, createdAt: number): Row {
  const { head, tail } = hostFileKey(file.filepath);
  return {
    id: orderedId(createdAt),
    hostname: file.hostname,
    path_head: head,
    path_tail: tail,
    filepath: file.filepath,
    version,
    sha256: file.sha256,
    size: file.size,
    mtime: file.mtime,
    mode: file.mode,
    is_current: 1,
    deleted_at: null,
    deletion_noted_at: null,
    key_id: file.keyId,
    actor: file.actor,
    created_at: createdAt,
  };
}
