import { isReservedName, isRoot, nameOf, parentOf, segmentsOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { syncFolder } from '@holdfast/bytes/durable-folder';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import type { BigIntStats } from 'node:fs';
import { lstat, mkdir, realpath } from 'node:fs/promises';
import { isAFileInTheWay } from '../path-rules/refusals.ts';
import { FolderHandle } from './folder-handle.ts';

/** Whether a real path is the root or below it, and not in the reserved area. */
export function isInsideJail(realPath: string, realRoot: string): boolean {
  if (realPath === realRoot) return true;
  if (!realPath.startsWith(`${realRoot}/`)) return false;
  const first = realPath.slice(realRoot.length + 1).split('/', 1)[0] ?? '';
  return !isReservedName(first);
}

/** @throws HoldfastError `invalid_path` when a real path is outside the root or in the reserved area */
export function requireInsideJail(realPath: string, realRoot: string, path: BackendPath): void {
  if (isInsideJail(realPath, realRoot)) return;
  throw new HoldfastError(
    'invalid_path',
    `${path} leads through a symbolic link to a place outside this backend. Such links are not followed.`,
    { errors: [{ field: 'path', message: 'a symbolic link leads out of the backend' }] },
  );
}

/** @throws HoldfastError `invalid_path` for a FIFO, socket or device */
export function requireFileOrFolder(stats: BigIntStats, path: BackendPath): void {
  if (stats.isFile() || stats.isDirectory()) return;
  throw new HoldfastError(
    'invalid_path',
    `${path} is neither a file nor a folder, but a device, socket or pipe.`,
    {
      errors: [{ field: 'path', message: 'it is neither a file nor a folder' }],
    },
  );
}

/** Opens a folder below the root, following symlinks only where they stay inside. Throws system errors as they are. */
export async function openFolderRaw(root: FolderHandle, path: BackendPath): Promise<FolderHandle> {
  const folder = await FolderHandle.open(root.child(path.slice(1) || '.'));
  try {
    requireInsideJail(folder.realPath, root.realPath, path);
    return folder;
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * The stats of what a path means once symlinks are followed, or null when there is nothing (a broken symlink included).
 * @throws HoldfastError `invalid_path` when it is outside the jail or neither file nor folder, `not_a_directory` when a
 *   file stands where the path has a folder
 */
export async function statInside(
  root: Pick<FolderHandle, 'path' | 'realPath'>,
  path: BackendPath,
): Promise<BigIntStats | null> {
  let stats: BigIntStats;
  try {
    const real = await realpath(isRoot(path) ? root.path : `${root.path}${path}`);
    requireInsideJail(real, root.realPath, path);
    stats = await lstat(real, { bigint: true });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw fileSystemError(error, `Looking at ${path}`, 'read');
  }
  requireFileOrFolder(stats, path);
  return stats;
}

/**
 * Checks the folders of a path that is about to be written, as far as they exist.
 * @throws HoldfastError `invalid_path` where they leave the jail, `not_a_directory` where a file stands in the way
 */
export async function checkFolders(root: FolderHandle, path: BackendPath): Promise<void> {
  for (let folder = parentOf(path); ; folder = parentOf(folder)) {
    const stats = await statInside(root, folder);
    if (stats?.isFile() === true) throw isAFileInTheWay(folder);
    if (stats !== null || isRoot(folder)) return;
  }
}

/** Opens the folder that holds a path. @throws HoldfastError `file_not_found`, `not_a_directory`, `invalid_path` */
export async function openParent(root: FolderHandle, path: BackendPath): Promise<FolderHandle> {
  const parent = parentOf(path);
  let folder: FolderHandle;
  try {
    folder = await openFolderRaw(root, parent);
  } catch (error) {
    throw fileSystemError(error, `Opening the folder ${parent}`, 'read');
  }
  return refuseReservedName(root, folder, path);
}

/** Opens the folder that holds a path, making what is missing of it; each new folder's name is durable. */
export async function makeParent(root: FolderHandle, path: BackendPath): Promise<FolderHandle> {
  const parent = parentOf(path);
  let folder: FolderHandle;
  try {
    folder = await openFolderRaw(root, parent).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
      return makeFolders(root, parent);
    });
  } catch (error) {
    throw fileSystemError(error, `Making the folder ${parent}`);
  }
  return refuseReservedName(root, folder, path);
}

/** A symlink to the root makes `/link/.holdfast` a spelling of the reserved area. */
async function refuseReservedName(
  root: FolderHandle,
  parent: FolderHandle,
  path: BackendPath,
): Promise<FolderHandle> {
  try {
    requireInsideJail(`${parent.realPath}/${nameOf(path)}`, root.realPath, path);
    return parent;
  } catch (error) {
    await parent[Symbol.asyncDispose]();
    throw error;
  }
}

async function makeFolders(root: FolderHandle, path: BackendPath): Promise<FolderHandle> {
  let folder = await FolderHandle.open(root.path);
  for (const name of segmentsOf(path)) {
    await using above = folder;
    folder = await FolderHandle.open(above.child(name)).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
      await mkdir(above.child(name)).catch((problem: unknown) => {
        if (errnoOf(problem) !== 'EEXIST') throw problem;
      });
      await syncFolder(above.path);
      return FolderHandle.open(above.child(name));
    });
    try {
      requireInsideJail(folder.realPath, root.realPath, path);
    } catch (error) {
      await folder[Symbol.asyncDispose]();
      throw error;
    }
  }
  return folder;
}
