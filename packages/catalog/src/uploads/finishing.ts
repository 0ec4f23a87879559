import { fromMillisOrNull, toMillis } from '../columns.ts';
import type { CatalogDatabase } from '../database.ts';
import type { HostFile } from '../host-files/host-file.ts';
import { recordVersions } from '../host-files/recording.ts';
import { changeUsage } from '../key-usage.ts';
import { lockHosts } from '../transaction-lock.ts';
import { lockUpload, toUpload } from './upload.ts';
import type { Upload } from './upload.ts';

export interface FinishUpload {
  id: string;
  content: {
    sha256: string;
    /** Bytes. */
    size: number;
    /** Where the content is kept. */
    backendId: string;
    /** True when its bytes were just published there; false when the catalog has to know the content already. */
    published: boolean;
  };
  at: Date;
}

/**
 * `ended`: the session was not `completing`; when it is `completed`, that is the answer to a repeated complete.
 * Otherwise nothing is changed: `content_missing` (it was collected meanwhile: publish, and finish again),
 * `content_removing` (a hub is removing it now), `unknown` (no such session).
 */
export type FinishAnswer =
  | { kind: 'finished'; upload: Upload; file: HostFile; created: boolean }
  | { kind: 'ended'; upload: Upload }
  | { kind: 'content_missing' | 'unknown' }
  | { kind: 'content_removing'; removingBy: string | null };

/**
 * The one transaction that makes an upload a file: content, version of the host file, session and usage. The quota was
 * kept at initiate, so it is not asked again.
 */
export async function finishUpload(
  { db, dialect }: CatalogDatabase,
  { id, content, at }: FinishUpload,
): Promise<FinishAnswer> {
  const known = await db.selectFrom('uploads').select('hostname').where('id', '=', id).executeTakeFirst();
  if (known === undefined) return { kind: 'unknown' };
  return await db.transaction().execute(async (trx) => {
    await lockHosts(trx, dialect, [known.hostname]);
    const row = await lockUpload(trx, dialect, id);
    if (row === undefined) return { kind: 'unknown' };
    if (row.status !== 'completing') return { kind: 'ended', upload: toUpload(row) };
    const [answer] = await recordVersions({ trx, dialect, at, enforceQuota: false }, [
      {
        hostname: row.hostname,
        filepath: row.filepath,
        sha256: content.sha256,
        mtime: fromMillisOrNull(row.mtime),
        mode: row.mode,
        keyId: row.key_id,
        actor: row.actor,
        content: content.published ? content : undefined,
      },
    ]);
    if (answer?.kind === 'content_removing') return answer;
    if (answer?.kind !== 'recorded') return { kind: 'content_missing' };
    await changeUsage(trx, row.key_id, {
      reservedBytes: -row.reserved_bytes,
      reservedFiles: -row.reserved_files,
    });
    const finished = await trx
      .updateTable('uploads')
      .set({
        status: 'completed',
        sha256: content.sha256,
        size: content.size,
        reserved_bytes: 0,
        reserved_files: 0,
        file_id: answer.file.id,
        deduplicated: Number(!content.published),
        lease_hub: null,
        lease_until: null,
        finished_at: toMillis(at),
      })
      .where('id', '=', id)
      .returningAll()
      .executeTakeFirstOrThrow();
    return { kind: 'finished', upload: toUpload(finished), file: answer.file, created: answer.created };
  });
}
