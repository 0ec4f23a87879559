import { chmod, lstat, unlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { isSha256Hex, sha256Hex } from '@holdfast/bytes/sha256';
import { downloadFile } from '@holdfast/client/node/download-file';
import { HoldfastError } from '@holdfast/contract/errors';
import { MODE_BITS } from './entry.ts';
import type { SyncAction, SyncFile } from './entry.ts';
import type { LocalFolders } from './local-folders.ts';
import { localFile } from './local-tree.ts';
import { forEachParallel } from './parallel.ts';
import { placeFile } from './place-file.ts';
import { attempt, LANES } from './work.ts';
import type { SyncWork } from './work.ts';

/** Files up to this size come by one request each, several at a time. */
const WHOLE_BYTES = 1024 * 1024;
const fetched = ['create', 'replace', 'touch'] as const;

/** Fetches all files of the plan: small ones by parallel requests, large ones in parts that an interruption keeps. */
export async function fetchAll(work: SyncWork, folders: LocalFolders): Promise<void> {
  const small = work.plan.actions({ kinds: fetched, to: WHOLE_BYTES });
  await forEachParallel(small, LANES, (action) => fetchOne(work, folders, action));
  for (const action of work.plan.actions({ kinds: fetched, from: WHOLE_BYTES + 1 })) {
    await fetchOne(work, folders, action);
  }
}

/** Fetches one file, or mends its time and permission bits. */
export async function fetchOne(work: SyncWork, folders: LocalFolders, action: SyncAction): Promise<void> {
  await attempt(work, action, async () => {
    const { kind, file } = action;
    const target = join(work.root, file.path);
    await folders.makeAbove(file.path);
    if (kind === 'touch') {
      await restoreFacts(target, file);
      return;
    }
    let sha256 = file.size <= WHOLE_BYTES ? await fetchWhole(work, action, target) : null;
    if (sha256 === null) {
      sha256 = await fetchParts(work, action, target);
      await restoreFacts(target, file);
    }
    work.hashes.remember(localFile(file.path, await lstat(target, { bigint: true })), sha256);
  });
}

/** Removes a file of the destination, and the folders that hold nothing any more. */
export async function removeLocal(work: SyncWork, folders: LocalFolders, action: SyncAction): Promise<void> {
  const { path } = action.file;
  await attempt(work, action, async () => {
    if (!(await folders.areAbove(path))) return;
    try {
      await unlink(join(work.root, path));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw fileSystemError(error, `Removing ${path}`);
    }
    await folders.pruneAbove(path);
  });
}

/** The SHA-256 of the written file, or null when the connection broke: in parts it goes on where it broke. */
async function fetchWhole(
  work: SyncWork,
  { kind, file }: SyncAction,
  target: string,
): Promise<string | null> {
  const { client, place } = work;
  // The client is aborted by Ctrl-C as it is; a signal of its own for each of many small files only costs.
  const answer =
    place.kind === 'backend'
      ? await client.raw('downloadFile', {
          params: { id: place.backendId },
          query: { path: place.pathOf(file.path) },
        })
      : await client.raw('downloadContent', { params: { sha256: contentOf(file) } });
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(await answer.arrayBuffer());
  } catch {
    return null;
  }
  const announced = answer.headers.get('x-checksum-sha256');
  const sha256 = sha256Hex(bytes);
  for (const expected of [file.sha256, announced]) {
    if (isSha256Hex(expected) && expected !== sha256) throw wrongBytes(file, expected, sha256);
  }
  await placeFile(target, bytes, { file, isNew: kind === 'create' });
  return sha256;
}

async function fetchParts(work: SyncWork, { kind, file }: SyncAction, target: string): Promise<string> {
  const { client, place, stateDir, signal, tally } = work;
  const what =
    place.kind === 'backend'
      ? { backend_id: place.backendId, path: place.pathOf(file.path) }
      : { sha256: contentOf(file) };
  const result = await downloadFile(client, what, target, {
    signal,
    stateDir,
    overwrite: kind !== 'create',
    expectedSha256: file.sha256 ?? undefined,
    onProgress: ({ bytes }) => tally.partly(bytes),
  });
  return result.sha256;
}

async function restoreFacts(target: string, { mode, mtimeMs }: SyncFile): Promise<void> {
  try {
    if (mode !== null) await chmod(target, mode & MODE_BITS);
    if (mtimeMs !== null) await utimes(target, mtimeMs / 1000, mtimeMs / 1000);
  } catch (error) {
    throw fileSystemError(error, `Setting time and permissions of ${target}`);
  }
}

function contentOf({ path, sha256 }: SyncFile): string {
  if (sha256 !== null) return sha256;
  throw new HoldfastError('internal', `The hub named no content for ${path}.`);
}

function wrongBytes({ path }: SyncFile, expected: string, actual: string): HoldfastError {
  const text = `${path} came with the SHA-256 ${actual} and not ${expected}. Nothing was written. Sync again, and run "holdfast verify" when it happens again.`;
  return new HoldfastError('checksum_mismatch', text);
}
