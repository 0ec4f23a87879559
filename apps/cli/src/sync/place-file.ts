import { lstat, open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { newTempName } from '@holdfast/bytes/temp-name';
import { HoldfastError } from '@holdfast/contract/errors';
import { MODE_BITS } from './entry.ts';
import type { SyncFile } from './entry.ts';

/**
 * Writes a small file under a temporary name, with its time and permission bits, and gives it its name. It is not synced to
 * the disk: two syncs a file would take most of the time of a sync. After a power cut such a file may be missing or short,
 * which the next sync sees by its size, and mends.
 * @throws HoldfastError `is_a_directory`, `already_exists` (only with `isNew`), and those of the file system
 */
export async function placeFile(
  target: string,
  bytes: Uint8Array,
  { file: { mode, mtimeMs }, isNew }: { file: SyncFile; isNew: boolean },
): Promise<void> {
  const temporary = join(dirname(target), newTempName());
  try {
    await using handle = await open(temporary, 'wx', 0o666);
    await handle.writeFile(bytes);
    if (mode !== null) await handle.chmod(mode & MODE_BITS);
    if (mtimeMs !== null) await handle.utimes(mtimeMs / 1000, mtimeMs / 1000);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw fileSystemError(error, `Writing ${target}`);
  }
  try {
    await requirePlace(target, isNew);
    await rename(temporary, target);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw fileSystemError(error, `Writing ${target}`);
  }
}

/** A look before the rename is enough against what came meanwhile; a link in its place would double the cost of a file. */
async function requirePlace(target: string, isNew: boolean): Promise<void> {
  const stats = await lstat(target).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (stats === null) return;
  if (stats.isDirectory()) {
    throw new HoldfastError('is_a_directory', `${target} is a folder, and a file is to stand there.`);
  }
  if (isNew) throw new HoldfastError('already_exists', `${target} appeared while it was synced. Sync again.`);
}
