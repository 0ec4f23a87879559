import { constants } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf, fileSystemError } from './file-system-error.ts';

/** Makes the names of a folder durable. File systems without a folder sync (some FUSE and network ones) are let be. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== 'EINVAL' && errno !== 'ENOTSUP' && errno !== 'EOPNOTSUPP') throw error;
  } finally {
    await handle.close();
  }
}

/**
 * Makes a folder and its missing parents, each durable before the next: the parent of every new folder is synced.
 * @returns whether the folder is new
 */
export async function makeFolderDurably(path: string, mode = 0o777): Promise<boolean> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EEXIST' && (await stat(path)).isDirectory()) return false;
    if (errno !== 'ENOENT' || dirname(path) === path)
      throw fileSystemError(error, `Making the folder ${path}`);
    await makeFolderDurably(dirname(path), mode);
    return makeFolderDurably(path, mode);
  }
  await syncFolder(dirname(path));
  return true;
}
