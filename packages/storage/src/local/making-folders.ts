import { isRoot, nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { errnoOf, fileSystemError, syncFolder } from '@holdfast/bytes/durable-file';
import { HoldfastError } from '@holdfast/contract/errors';
import { lstat, mkdir } from 'node:fs/promises';
import type { StorageEntry } from '../backend.ts';
import { entryOf } from './entry.ts';
import { checkFolders, makeParent, refuseTempNames, statInside } from './jail.ts';
import type { Volume } from './volume.ts';

/** Makes a folder and its missing parents, durably. @throws HoldfastError `already_exists`, `not_a_directory` */
export async function makeFolder(volume: Volume, path: BackendPath): Promise<StorageEntry> {
  refuseTempNames(path);
  if (isRoot(path)) throw alreadyThere(path);
  return volume.locks.hold([path], async () => {
    await using root = await volume.enter();
    await checkFolders(root, path);
    if ((await statInside(root, path)) !== null) throw alreadyThere(path);
    await using parent = await makeParent(root, path);
    const folder = parent.child(nameOf(path));
    try {
      await mkdir(folder);
      await syncFolder(parent.path);
      return entryOf(path, await lstat(folder, { bigint: true }));
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') throw alreadyThere(path, error);
      throw fileSystemError(error, `Making the folder ${path}`);
    }
  });
}

function alreadyThere(path: BackendPath, cause?: unknown): HoldfastError {
  return new HoldfastError('already_exists', `${path} exists already.`, { cause });
}
