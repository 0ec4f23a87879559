import { isRoot, nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { syncFolder } from '@holdfast/bytes/durable-folder';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { lstat, mkdir } from 'node:fs/promises';
import type { StorageEntry } from '../backend.ts';
import { existsAlready, refuseTempNames } from '../path-rules/refusals.ts';
import { entryOf } from './entry.ts';
import { checkFolders, makeParent, statInside } from './jail.ts';
import type { Volume } from './volume.ts';

/** Makes a folder and its missing parents, durably. @throws HoldfastError `already_exists`, `not_a_directory` */
export async function makeFolder(volume: Volume, path: BackendPath): Promise<StorageEntry> {
  refuseTempNames(path);
  if (isRoot(path)) throw existsAlready(path);
  return volume.locks.hold([path], async () => {
    await using root = await volume.enter();
    await checkFolders(root, path);
    if ((await statInside(root, path)) !== null) throw existsAlready(path);
    await using parent = await makeParent(root, path);
    const folder = parent.child(nameOf(path));
    try {
      await mkdir(folder);
      await syncFolder(parent.path);
      return entryOf(path, await lstat(folder, { bigint: true }));
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') throw existsAlready(path, error);
      throw fileSystemError(error, `Making the folder ${path}`);
    }
  });
}
