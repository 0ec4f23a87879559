import type { HoldfastError } from '@holdfast/contract/errors';
import { fromMillisOrNull, toMillis } from '../columns.ts';
import type { CatalogDatabase } from '../database.ts';
import { lockHosts } from '../transaction-lock.ts';
import { toHostFile, withinReach } from './host-file.ts';
import type { HostFile, HostFileReach } from './host-file.ts';
import { currentVersions, recordVersions } from './recording.ts';
import { fileKey } from './version-plan.ts';

export interface RestoreOptions {
  reach: HostFileReach;
  /** Who restores: the new version is theirs. */
  keyId: string;
  actor: string;
  at: Date;
  /** A file whose deletion was noted before cannot be restored any more. */
  deletedAfter: Date;
}

/** `created: false`: the current version has these bytes already. */
export type RestoreAnswer =
  | { kind: 'restored'; file: HostFile; created: boolean }
  | { kind: 'not_found' }
  | { kind: 'expired'; file: HostFile }
  | { kind: 'quota_exceeded'; error: HoldfastError }
  | { kind: 'content_removing'; removingBy: string | null };

/** Makes the bytes of a version, deleted or replaced, the current version again: a new one, so that the history stays. */
export async function restoreVersion(
  { db, dialect }: CatalogDatabase,
  id: string,
  { reach, keyId, actor, at, deletedAfter }: RestoreOptions,
): Promise<RestoreAnswer> {
  const wanted = db
    .selectFrom('host_files')
    .selectAll()
    .where('id', '=', id)
    .where((eb) => withinReach(eb, reach));
  const known = await wanted.executeTakeFirst();
  if (known === undefined) return { kind: 'not_found' };
  return await db.transaction().execute(async (trx): Promise<RestoreAnswer> => {
    await lockHosts(trx, dialect, [known.hostname]);
    // It may have been purged meanwhile.
    const current = (await currentVersions(trx, [known])).get(fileKey(known.hostname, known.filepath));
    if (current === undefined) return { kind: 'not_found' };
    if (current.deletion_noted_at !== null && current.deletion_noted_at < toMillis(deletedAfter)) {
      return { kind: 'expired', file: toHostFile(current) };
    }
    const [answer] = await recordVersions({ trx, dialect, at, enforceQuota: true }, [
      {
        hostname: known.hostname,
        filepath: known.filepath,
        sha256: known.sha256,
        mtime: fromMillisOrNull(known.mtime),
        mode: known.mode,
        keyId,
        actor,
      },
    ]);
    switch (answer?.kind) {
      case 'recorded':
        return { kind: 'restored', file: answer.file, created: answer.created };
      case 'quota_exceeded':
      case 'content_removing':
        return answer;
      default:
        return { kind: 'not_found' };
    }
  });
}
