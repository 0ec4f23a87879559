import { nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { syncFolder } from '@holdfast/bytes/durable-folder';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { renameIfFree } from '@holdfast/bytes/rename-if-free';
import { HoldfastError } from '@holdfast/contract/errors';
import type { BigIntStats } from 'node:fs';
import { lstat, rename, unlink } from 'node:fs/promises';
import type { MoveOptions, StorageEntry } from '../backend.ts';
import { refuseRoot, refuseTempNames } from '../path-rules/refusals.ts';
import { intoItself, pathTaken, refuseIntoItself, requireDestination } from '../path-rules/relocating.ts';
import { entryOf, typeOf } from './entry.ts';
import type { FolderHandle } from './folder-handle.ts';
import { checkFolders, makeParent, openParent, statInside } from './jail.ts';
import { openFile } from './reading.ts';
import type { Volume } from './volume.ts';
import { withStaged } from './writing.ts';

/**
 * Moves a file or folder; both folders are made durable. A symlink is moved itself, not what it points to. A file goes
 * to another file system below the same root by a verified copy; a folder is refused there with `not_supported`.
 */
export async function moveEntry(
  volume: Volume,
  from: BackendPath,
  to: BackendPath,
  options: MoveOptions,
): Promise<StorageEntry> {
  refuseRoot(from, 'moved');
  refuseRoot(to, 'replaced');
  refuseTempNames(from);
  refuseTempNames(to);
  throwIfCancelled(options.signal, `Moving ${from}`);
  return volume.locks.hold([from, to], async () => {
    await using root = await volume.enter();
    await using source = await openParent(root, from);
    const stats = await statInside(root, from);
    if (stats === null) throw new HoldfastError('file_not_found', `There is no ${from} to move.`);
    if (from === to && options.overwrite === true) return entryOf(to, stats);
    const moved = { path: from, type: typeOf(stats) };
    refuseIntoItself(moved, to);
    await checkFolders(root, to);
    const existing = await statInside(root, to);
    requireDestination(moved, to, existing && typeOf(existing), options.overwrite);
    await using target = await makeParent(root, to);
    await rehang(volume, root, { folder: source, path: from }, { folder: target, path: to }, options);
    try {
      await syncFolder(target.path);
      await syncFolder(source.path);
    } catch (error) {
      throw fileSystemError(error, `Making the move of ${from} to ${to} durable`);
    }
    // A relative symlink may point nowhere from its new place; then it is told as what it pointed to.
    return entryOf(to, (await statInside(root, to)) ?? stats);
  });
}

interface Place {
  folder: FolderHandle;
  path: BackendPath;
}

async function rehang(
  volume: Volume,
  root: FolderHandle,
  from: Place,
  to: Place,
  options: MoveOptions,
): Promise<void> {
  const source = from.folder.child(nameOf(from.path));
  const target = to.folder.child(nameOf(to.path));
  try {
    const own = await lstat(source, { bigint: true });
    const existing = await lstatOrNull(target);
    if (own.isSymbolicLink() && existing !== null) await refuseOwnTarget(root, from.path, to.path);
    if (existing !== null && existing.ino === own.ino && existing.dev === own.dev) {
      // rename(2) does nothing between two hard links of one file, so the old name would stay.
      await unlink(source);
    } else if (options.overwrite === true || own.isDirectory()) {
      await rename(source, target);
    } else {
      await renameIfFree(source, target);
    }
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EXDEV') return moveAcross(volume, root, from, to, options);
    if (errno === 'EEXIST' && options.overwrite !== true) throw pathTaken(to.path, error);
    if (errno === 'EINVAL') throw intoItself(from.path, to.path, error);
    throw fileSystemError(error, `Moving ${from.path} to ${to.path}`);
  }
}

async function lstatOrNull(path: string): Promise<BigIntStats | null> {
  return lstat(path, { bigint: true }).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  });
}

/** A symlink moved over the very file that it points to would leave a link to itself, and the bytes would be lost. */
async function refuseOwnTarget(root: FolderHandle, from: BackendPath, to: BackendPath): Promise<void> {
  const [link, target] = [await statInside(root, from), await statInside(root, to)];
  if (link === null || target === null || link.ino !== target.ino || link.dev !== target.dev) return;
  throw new HoldfastError('conflict', `${from} is a symbolic link to ${to}, so it cannot take its place.`);
}

async function moveAcross(
  volume: Volume,
  root: FolderHandle,
  from: Place,
  to: Place,
  options: MoveOptions,
): Promise<void> {
  if ((await statInside(root, from.path))?.isDirectory() === true) {
    const text = `${from.path} and ${to.path} are on different file systems, where folders cannot be moved as a whole.`;
    throw new HoldfastError('not_supported', `${text} Copy the files, then remove the folder.`);
  }
  await using file = await openFile(volume, from.path);
  const expectations = {
    expectedSize: file.entry.size,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
  await withStaged(volume, root, to.path, file.stream(), expectations, async (staged, crossDevice) => {
    const ifAbsent = options.overwrite !== true;
    await staged.publish({ folder: to.folder.path, name: nameOf(to.path), ifAbsent, crossDevice });
  });
  await unlink(from.folder.child(nameOf(from.path))).catch((error: unknown) => {
    throw fileSystemError(error, `Removing ${from.path} after it was copied to ${to.path}`);
  });
}
