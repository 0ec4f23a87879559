import { nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { HoldfastError } from '@holdfast/contract/errors';
import { mapBounded } from '../../concurrency/bounded.ts';
import { folderNotEmpty, nothingToRemove, refuseRoot, refuseTempNames } from '../../path-rules/refusals.ts';
import { isFailure, nfsError } from '../failure.ts';
import type { NfsFileSystem, NfsName } from '../file-system.ts';
import { nfsStatus } from '../status.ts';
import { readWholeFolder } from './listing.ts';
import { findParent } from './resolving.ts';
import type { Share } from './share.ts';

const parallelRemovals = 16;
const emptyingRounds = 3;

/**
 * Removes a file, an empty folder, or with `recursive` a whole folder. A symlink is removed itself, never what it
 * points to, at the path as well as anywhere below it.
 * @returns files, folders and links that were removed
 */
export async function removeEntry(
  share: Share,
  path: BackendPath,
  options: { recursive?: boolean; signal?: AbortSignal },
): Promise<number> {
  refuseRoot(path, 'removed');
  refuseTempNames(path);
  return share.locks.hold([path], async () => {
    const check = (): void => throwIfCancelled(options.signal, `Removing ${path}`);
    check();
    const entered = await share.enter();
    const parent = await findParent(entered, path).catch((error: unknown) => {
      throw isHoldfastError(error, 'not_a_directory') ? nothingToRemove(path, error) : error;
    });
    try {
      const { fs } = entered;
      const folder = parent.node.handle;
      const [node] = await fs.walk(folder, [nameOf(path)]);
      if (node === undefined) throw nothingToRemove(path);
      check();
      if (node.attributes.type !== 'directory') return await removeOne(fs, folder, nameOf(path), 'file');
      if (options.recursive === true) return await removeTree(fs, folder, nameOf(path), check);
      return await removeOne(fs, folder, nameOf(path), 'directory');
    } catch (error) {
      throw notRemoved(error, path);
    }
  });
}

function notRemoved(error: unknown, path: BackendPath): HoldfastError {
  if (isFailure(error, nfsStatus.NOENT)) return nothingToRemove(path, error);
  if (isFailure(error, nfsStatus.NOTEMPTY, nfsStatus.EXIST)) return folderNotEmpty(path, error);
  return nfsError(error, `Removing ${path}`);
}

/** @returns 1, or 0 when somebody else was faster */
async function removeOne(
  fs: NfsFileSystem,
  folder: Buffer,
  name: NfsName,
  kind: 'file' | 'directory',
  missing: 'fails' | 'isFine' = 'fails',
): Promise<number> {
  try {
    await fs.remove(folder, name, kind);
    return 1;
  } catch (error) {
    if (!isFailure(error, nfsStatus.NOENT)) throw error;
    // Sent twice, the second time meets what the first has done.
    if (error.wasResent) return 1;
    if (missing === 'isFine') return 0;
    throw error;
  }
}

/** Removes a folder with its contents by raw names, which need not be valid UTF-8. */
async function removeTree(
  fs: NfsFileSystem,
  parent: Buffer,
  name: NfsName,
  check: () => void,
): Promise<number> {
  let removed = 0;
  for (let round = 1; ; round += 1) {
    const [node] = await fs.walk(parent, [name]);
    // Swapped for a file or a symlink meanwhile: that is what is removed, and it is not entered.
    if (node === undefined) return removed;
    if (node.attributes.type !== 'directory')
      return removed + (await removeOne(fs, parent, name, 'file', 'isFine'));
    const entries = await readWholeFolder(fs, node.handle);
    for (const entry of entries) {
      check();
      if (entry.attributes.type === 'directory')
        removed += await removeTree(fs, node.handle, entry.name, check);
    }
    const files = entries.filter((entry) => entry.attributes.type !== 'directory');
    const counts = await mapBounded(files, parallelRemovals, async (entry) => {
      check();
      return removeOne(fs, node.handle, entry.name, 'file', 'isFine');
    });
    removed += counts.reduce((sum, count) => sum + count, 0);
    try {
      return removed + (await removeOne(fs, parent, name, 'directory', 'isFine'));
    } catch (error) {
      // Somebody puts files in while it is emptied: a few more rounds, then it is theirs.
      if (!isFailure(error, nfsStatus.NOTEMPTY, nfsStatus.EXIST) || round === emptyingRounds) throw error;
    }
  }
}
