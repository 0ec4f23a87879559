import type { HoldfastError } from '@holdfast/contract/errors';
import type { Kysely, Selectable } from 'kysely';
import { batches } from '../batches.ts';
import { toMillis, toMillisOrNull } from '../columns.ts';
import { claimContents } from '../contents/claiming.ts';
import { changeUsage, quotaOf, quotaRefusal } from '../key-usage.ts';
import type { KeyQuota, KeyUsage } from '../key-usage.ts';
import type { DialectName } from '../migrations/migration.ts';
import { assertStorablePath } from '../path-key.ts';
import type { HostFilesTable } from '../tables/host-files-table.ts';
import type { Schema } from '../tables/schema.ts';
import { hostFileKey, toHostFile } from './host-file.ts';
import type { HostFile } from './host-file.ts';
import { fileKey, planVersions } from './version-plan.ts';
import type { PlannedFile, SeenFile } from './version-plan.ts';

const BATCH = 500;

/** A file as it was seen on a machine. */
export interface NewHostFile {
  hostname: string;
  filepath: string;
  sha256: string;
  mtime: Date | null;
  mode: number | null;
  keyId: string;
  actor: string;
  /** Where its bytes are kept, when the catalog need not know the content yet. `published`: they were just put there. */
  content?: { size: number; backendId: string; published: boolean } | undefined;
}

/**
 * `recorded` with `created: false`: the current version has these bytes already. The others leave everything as it was:
 * `content_missing` (the catalog does not know the content), `content_removing` (a hub is removing it), `quota_exceeded`.
 */
export type RecordAnswer =
  | { kind: 'recorded'; file: HostFile; created: boolean }
  | { kind: 'content_missing' }
  | { kind: 'content_removing'; removingBy: string | null }
  | { kind: 'quota_exceeded'; error: HoldfastError };

export interface Recording {
  trx: Kysely<Schema>;
  dialect: DialectName;
  at: Date;
  /** False where the room was reserved before. */
  enforceQuota: boolean;
}

/**
 * Records files inside a transaction that has locked their hosts (and, for a complete, the session).
 * @returns the answers, in order
 * @throws HoldfastError `invalid_path`, `backend_not_found`
 */
export async function recordVersions(
  { trx, dialect, at, enforceQuota }: Recording,
  files: readonly NewHostFile[],
): Promise<RecordAnswer[]> {
  for (const file of files) {
    assertStorablePath(file.filepath);
    assertStorablePath(file.hostname);
  }
  const accounts = await lockAccounts(trx, files, enforceQuota);
  const contents = await claimContents(trx, dialect, files, toMillis(at));
  const current = await currentVersions(trx, files);

  const seen: SeenFile[] = [];
  const answers = files.map((file): RecordAnswer | null => {
    const content = contents.get(file.sha256);
    if (content === undefined) return { kind: 'content_missing' };
    if (content.state === 'removing') return { kind: 'content_removing', removingBy: content.removing_by };
    seen.push({
      hostname: file.hostname,
      filepath: file.filepath,
      sha256: file.sha256,
      size: content.size,
      mtime: toMillisOrNull(file.mtime),
      mode: file.mode,
      keyId: file.keyId,
      actor: file.actor,
    });
    return null;
  });
  const plan = planVersions(seen, current, (file) => admit(accounts, file), toMillis(at));

  for (const ids of batches(plan.retired, BATCH)) {
    await trx.updateTable('host_files').set({ is_current: 0 }).where('id', 'in', ids).execute();
  }
  for (const rows of batches(plan.inserts, BATCH)) await trx.insertInto('host_files').values(rows).execute();
  for (const { id, mtime, mode } of plan.touched) {
    await trx.updateTable('host_files').set({ mtime, mode }).where('id', '=', id).execute();
  }
  for (const [keyId, { gain }] of accounts) {
    if (gain.files > 0) await changeUsage(trx, keyId, gain);
  }

  const planned = plan.files.values();
  return answers.map((answer) => answer ?? toAnswer(planned.next().value));
}

/** The current versions of files, by `fileKey`. */
export async function currentVersions(
  db: Kysely<Schema>,
  files: readonly { hostname: string; filepath: string }[],
): Promise<Map<string, Selectable<HostFilesTable>>> {
  const found = new Map<string, Selectable<HostFilesTable>>();
  const groups = Map.groupBy(
    files.map(({ hostname, filepath }) => ({ hostname, ...hostFileKey(filepath) })),
    // Nearly all paths have no tail, and so those of a machine go together.
    ({ hostname, tail }) => fileKey(hostname, tail),
  );
  for (const group of groups.values()) {
    for (const batch of batches(group, BATCH)) {
      const [first] = batch;
      if (first === undefined) continue;
      const rows = await db
        .selectFrom('host_files')
        .selectAll()
        .where('hostname', '=', first.hostname)
        .where(
          'path_head',
          'in',
          batch.map(({ head }) => head),
        )
        .where('path_tail', '=', first.tail)
        .where(({ eb, lit }) => eb('is_current', '=', lit(1)))
        .execute();
      for (const row of rows) found.set(fileKey(row.hostname, row.filepath), row);
    }
  }
  return found;
}

interface Account {
  quota: KeyQuota | null;
  usage: KeyUsage;
  gain: { bytes: number; files: number };
}

/** Locks the usage of the keys, in one order for everybody. */
async function lockAccounts(
  trx: Kysely<Schema>,
  files: readonly NewHostFile[],
  enforceQuota: boolean,
): Promise<Map<string, Account>> {
  const accounts = new Map<string, Account>();
  for (const keyId of [...new Set(files.map((file) => file.keyId))].toSorted()) {
    const usage = await changeUsage(trx, keyId, {});
    const quota = enforceQuota ? await quotaOf(trx, keyId) : null;
    accounts.set(keyId, { quota, usage, gain: { bytes: 0, files: 0 } });
  }
  return accounts;
}

function admit(accounts: ReadonlyMap<string, Account>, { keyId, size }: SeenFile): HoldfastError | null {
  const account = accounts.get(keyId);
  if (account === undefined) return null;
  const { quota, usage, gain } = account;
  const soFar = { ...usage, bytes: usage.bytes + gain.bytes, files: usage.files + gain.files };
  const refusal = quotaRefusal(quota, soFar, { bytes: size, files: 1 });
  if (refusal !== null) return refusal;
  gain.bytes += size;
  gain.files += 1;
  return null;
}

function toAnswer(planned: PlannedFile | undefined): RecordAnswer {
  if (planned === undefined) return { kind: 'content_missing' };
  if ('refusal' in planned) return { kind: 'quota_exceeded', error: planned.refusal };
  return { kind: 'recorded', file: toHostFile(planned.row), created: planned.created };
}
