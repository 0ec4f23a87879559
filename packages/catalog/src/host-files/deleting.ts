import { batches } from '../batches.ts';
import { toMillis } from '../columns.ts';
import type { CatalogDatabase } from '../database.ts';
import { assertStorablePath } from '../path-key.ts';
import { lockHosts } from '../transaction-lock.ts';
import { toHostFile } from './host-file.ts';
import type { HostFile, HostFileReach } from './host-file.ts';
import { currentVersions } from './recording.ts';
import { fileKey } from './version-plan.ts';

const BATCH = 500;

/** What a machine tells of a file that is gone there. */
export interface DeletionNotice {
  hostname: string;
  filepath: string;
  sha256: string;
  /** When it vanished, by the machine's clock. Default: when it is noted. */
  deletedAt?: Date;
}

/** `already`: it was noted before, and that time stays. `not_found`: the current version has other bytes, or is out of reach. */
export type DeletionAnswer = { kind: 'deleted'; file: HostFile; already: boolean } | { kind: 'not_found' };

/**
 * Notes in one transaction that files are gone on their machines.
 * @returns the answers, in order
 * @throws HoldfastError `invalid_path`
 */
export async function markDeleted(
  { db, dialect }: CatalogDatabase,
  notices: readonly DeletionNotice[],
  { reach, at }: { reach: HostFileReach; at: Date },
): Promise<DeletionAnswer[]> {
  for (const { filepath, hostname } of notices) {
    assertStorablePath(filepath);
    assertStorablePath(hostname);
  }
  const notedAt = toMillis(at);
  return await db.transaction().execute(async (trx) => {
    await lockHosts(
      trx,
      dialect,
      notices.map(({ hostname }) => hostname),
    );
    const current = await currentVersions(trx, notices);
    const idsByTime = new Map<number, string[]>();
    const answers = notices.map((notice): DeletionAnswer => {
      const row = current.get(fileKey(notice.hostname, notice.filepath));
      if (row === undefined || row.sha256 !== notice.sha256) return { kind: 'not_found' };
      if (reach.kind === 'hostname' && row.hostname !== reach.hostname) return { kind: 'not_found' };
      if (reach.kind === 'key' && row.key_id !== reach.keyId) return { kind: 'not_found' };
      if (row.deletion_noted_at !== null) return { kind: 'deleted', file: toHostFile(row), already: true };
      // A machine whose clock is ahead must not keep the file in the tree of now.
      row.deleted_at = Math.min(
        notice.deletedAt === undefined ? notedAt : toMillis(notice.deletedAt),
        notedAt,
      );
      row.deletion_noted_at = notedAt;
      idsByTime.set(row.deleted_at, [...(idsByTime.get(row.deleted_at) ?? []), row.id]);
      return { kind: 'deleted', file: toHostFile(row), already: false };
    });
    for (const [deletedAt, ids] of idsByTime) {
      for (const batch of batches(ids, BATCH)) {
        await trx
          .updateTable('host_files')
          .set({ deleted_at: deletedAt, deletion_noted_at: notedAt })
          .where('id', 'in', batch)
          .execute();
      }
    }
    return answers;
  });
}
