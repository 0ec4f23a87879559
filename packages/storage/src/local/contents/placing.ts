import { isRoot, nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { syncFolder } from '@holdfast/bytes/durable-folder';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { renameIfFree } from '@holdfast/bytes/rename-if-free';
import { isHoldfastError } from '@holdfast/contract/errors';
import { constants } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { WriteResult } from '../../backend.ts';
import { noSuchUpload } from '../../contents/content-names.ts';
import type { PlaceOptions } from '../../contents.ts';
import { notAbsent, requireWritable } from '../../path-rules/publishing.ts';
import { isAFolder, refuseTempNames } from '../../path-rules/refusals.ts';
import { entryOf, typeOf } from '../entry.ts';
import { checkFolders, makeParent, statInside } from '../jail.ts';
import type { StagedFiles } from './staged-files.ts';

const placeAttempts = 4;

/**
 * Gives the staged file of an upload its name at a path, in one atomic step that is durable when it resolves.
 * @returns null when the path is on another file system, where a name alone does not bring the bytes
 * @throws HoldfastError `file_not_found` when nothing is staged (any more), and what a write to the path is refused with
 */
export async function placeStaged(
  files: StagedFiles,
  id: string,
  path: BackendPath,
  { sha256, size, overwrite }: PlaceOptions,
): Promise<WriteResult | null> {
  if (isRoot(path)) throw isAFolder(path);
  refuseTempNames(path);
  const { volume } = files;
  return volume.locks.hold([path], async () => {
    for (let attempt = 1; ; attempt += 1) {
      await using uploads = await files.enter();
      await using root = await volume.enter();
      await checkFolders(root, path);
      const existing = await statInside(root, path);
      requireWritable(path, existing && typeOf(existing), !overwrite);
      const staged = uploads.child(id);
      // Open while it is renamed, so that what is told is of this very file.
      await using handle = await openStaged(id, staged);
      const stats = await handle.stat();
      if (!stats.isFile() || stats.size !== size) throw noSuchUpload(id);
      try {
        await using parent = await makeParent(root, path);
        const target = parent.child(nameOf(path));
        await (overwrite ? rename(staged, target) : renameIfFree(staged, target));
        await syncFolder(parent.path);
        const entry = entryOf(path, await handle.stat({ bigint: true }));
        return { entry, sha256, replaced: existing !== null };
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === 'EXDEV') return null;
        if (errno === 'EEXIST') throw notAbsent(path, error);
        // The folder was removed by somebody else in this moment: make it again.
        const isGone = errno === 'ENOENT' || isHoldfastError(error, 'file_not_found');
        if (!isGone || attempt === placeAttempts) throw fileSystemError(error, `Placing ${path}`);
      }
    }
  });
}

async function openStaged(id: string, path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw noSuchUpload(id, error);
    throw fileSystemError(error, `Opening the staged bytes of the upload ${id}`);
  }
}
