import { nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { syncFolder } from '@holdfast/bytes/durable-folder';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import { lstat, readdir, rmdir, unlink } from 'node:fs/promises';
import { mapBounded } from '../concurrency/bounded.ts';
import { folderNotEmpty, nothingToRemove, refuseRoot, refuseTempNames } from '../path-rules/refusals.ts';
import { FolderHandle } from './folder-handle.ts';
import { openParent } from './jail.ts';
import type { Volume } from './volume.ts';

const parallelUnlinks = 16;
const emptyingRounds = 3;

/**
 * Removes a file, an empty folder, or with `recursive` a whole folder. A symlink is removed itself, never what it
 * points to, at the path as well as anywhere below it.
 * @returns files, folders and links that were removed
 */
export async function removeEntry(
  volume: Volume,
  path: BackendPath,
  options: { recursive?: boolean; signal?: AbortSignal },
): Promise<number> {
  refuseRoot(path, 'removed');
  refuseTempNames(path);
  return volume.locks.hold([path], async () => {
    await using root = await volume.enter();
    await using parent = await openParent(root, path).catch((error: unknown) => {
      throw missingParent(error, path);
    });
    try {
      const target = parent.rawChild(Buffer.from(nameOf(path)));
      const stats = await lstat(target);
      const check = (): void => throwIfCancelled(options.signal, `Removing ${path}`);
      check();
      let removed = 1;
      if (!stats.isDirectory()) await unlink(target);
      else if (options.recursive === true) removed = await removeTree(target, check);
      else await rmdir(target);
      await syncFolder(parent.path);
      return removed;
    } catch (error) {
      throw notRemoved(error, path);
    }
  });
}

function missingParent(error: unknown, path: BackendPath): unknown {
  if (!(error instanceof HoldfastError) || error.code !== 'not_a_directory') return error;
  return nothingToRemove(path, error);
}

function notRemoved(error: unknown, path: BackendPath): HoldfastError {
  const errno = errnoOf(error);
  if (errno === 'ENOENT') return nothingToRemove(path, error);
  if (errno === 'ENOTEMPTY' || errno === 'EEXIST') return folderNotEmpty(path, error);
  return fileSystemError(error, `Removing ${path}`);
}

/** Removes a folder with its contents by raw names, which need not be valid UTF-8. */
async function removeTree(path: Buffer, check: () => void): Promise<number> {
  let removed = 0;
  for (let round = 1; ; round += 1) {
    // Opened without following: a folder that was swapped for a symlink meanwhile is not entered.
    await using folder = await FolderHandle.open(path, { noFollow: true });
    for (const entry of await readdir(folder.path, { withFileTypes: true, encoding: 'buffer' })) {
      if (!entry.isDirectory()) continue;
      check();
      removed += await removeTree(folder.rawChild(entry.name), check);
    }
    const files = (await readdir(folder.path, { withFileTypes: true, encoding: 'buffer' })).filter(
      (entry) => !entry.isDirectory(),
    );
    const unlinked = await mapBounded(files, parallelUnlinks, async (entry) => {
      check();
      return unlink(folder.rawChild(entry.name)).then(() => 1, ignoreMissing);
    });
    removed += unlinked.length;
    try {
      await rmdir(path);
      return removed + 1;
    } catch (error) {
      // Somebody puts files in while it is emptied: a few more rounds, then it is theirs.
      if (errnoOf(error) !== 'ENOTEMPTY' || round === emptyingRounds) throw error;
    }
  }
}

function ignoreMissing(error: unknown): number {
  if (errnoOf(error) === 'ENOENT') return 0;
  throw error;
}
