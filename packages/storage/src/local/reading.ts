import type { BackendPath } from '@holdfast/bytes/backend-path';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { BigIntStats } from 'node:fs';
import { constants, statSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import type { StorageEntry } from '../backend.ts';
import { isAFolder, refuseTempNames } from '../path-rules/refusals.ts';
import { validatorOf } from './entry.ts';
import { realPathOf } from './folder-handle.ts';
import { requireFileOrFolder, requireInsideJail, statInside } from './jail.ts';
import { LocalFile } from './open-file.ts';
import type { Volume } from './volume.ts';

/** A read that found nothing: nothing there, or no volume? */
async function notFound(volume: Volume, path: BackendPath): Promise<HoldfastError> {
  await (await volume.enter())[Symbol.asyncDispose]();
  return new HoldfastError('file_not_found', `There is no file or folder at ${path}.`);
}

/**
 * The stats of what a path means.
 * @throws HoldfastError `file_not_found`, `invalid_path`, `backend_unavailable`, `wrong_volume`
 */
export async function statPath(volume: Volume, path: BackendPath): Promise<BigIntStats> {
  refuseTempNames(path);
  const look = async (): Promise<BigIntStats | null> => statInside(await volume.readingRoot(), path);
  let stats: BigIntStats | null = null;
  try {
    stats = await look().catch((error: unknown) => {
      if (!isHoldfastError(error, 'invalid_path')) throw error;
      // The root may be a symlink that was pointed elsewhere since: judge by where it leads now.
      volume.forgetRealRoot();
      return look();
    });
  } catch (error) {
    if (!isHoldfastError(error, 'not_a_directory')) throw error;
  }
  if (stats === null) throw await notFound(volume, path);
  return stats;
}

/**
 * A check by one `stat` whether the file at the entry's path is still that version; undefined when it is not now.
 * It follows symlinks without a look at where they lead: equal numbers mean the same inode, unchanged. Times are
 * compared as floating-point milliseconds, a grain of a quarter of a microsecond: no two writes follow so fast.
 */
export function freshnessOf(volume: Volume, entry: StorageEntry): (() => boolean) | undefined {
  const path = `${volume.root}${entry.path}`;
  try {
    const seen = statSync(path, { throwIfNoEntry: false });
    const exact = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (exact === undefined || seen === undefined || !exact.isFile()) return undefined;
    if (validatorOf(exact) !== entry.validator) return undefined;
    const { mtimeMs, ctimeMs, size, ino, dev } = seen;
    return () => {
      try {
        const now = statSync(path, { throwIfNoEntry: false });
        return (
          now !== undefined &&
          now.ctimeMs === ctimeMs &&
          now.mtimeMs === mtimeMs &&
          now.size === size &&
          now.ino === ino &&
          now.dev === dev
        );
      } catch {
        return false; // whatever the trouble is, the caller's full look at the path reports it
      }
    };
  } catch {
    return undefined;
  }
}

/** Opens one version of a file. Devices, sockets and FIFOs are never opened. */
export async function openFile(volume: Volume, path: BackendPath): Promise<LocalFile> {
  const seen = await statPath(volume, path);
  if (seen.isDirectory()) throw isAFolder(path);
  const root = await volume.readingRoot();
  let handle: FileHandle;
  try {
    // O_NONBLOCK: should a FIFO have taken the file's place since, the open does not hang.
    handle = await open(
      `${root.path}${path}`,
      constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY,
    );
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') throw await notFound(volume, path);
    throw fileSystemError(error, `Opening ${path}`, 'read');
  }
  try {
    const stats = await handle.stat({ bigint: true });
    requireFileOrFolder(stats, path);
    if (stats.isDirectory()) throw isAFolder(path);
    // The path may have been changed between the look and the open: what counts is what is open now.
    requireInsideJail(await realPathOf(handle.fd, `${root.path}${path}`), root.realPath, path);
    return new LocalFile(handle, path, stats);
  } catch (error) {
    await handle.close();
    throw fileSystemError(error, `Opening ${path}`, 'read');
  }
}
