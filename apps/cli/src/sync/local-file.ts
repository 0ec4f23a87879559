import { constants } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { errnoOf } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import type { SyncFile } from './entry.ts';
import { stampOf } from './local-tree.ts';

/**
 * Opens a file of a plan to read it. Symlinks are not followed, and a pipe that took its place does not block.
 * @throws HoldfastError `conflict` when it is not in the state that was planned with, `forbidden`, `file_not_found`
 */
export async function openPlanned(absolute: string, file: SyncFile): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(absolute, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === 'EACCES' || errno === 'EPERM') {
      throw new HoldfastError('forbidden', 'It may not be read. Check its permissions.', { cause });
    }
    if (errno === 'ENOENT') throw new HoldfastError('file_not_found', 'It is gone meanwhile.', { cause });
    throw new HoldfastError('conflict', `It cannot be opened any more (${errno ?? String(cause)}).`, {
      cause,
    });
  }
  try {
    requireUnchanged(file, await handle.stat({ bigint: true }));
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** @throws HoldfastError `conflict` when the file is not in the state that was planned with */
export function requireUnchanged(file: SyncFile, stats: BigIntStats): void {
  const now = stampOf(stats);
  const { stamp } = file;
  const isSame =
    stats.isFile() &&
    stamp !== null &&
    Number(stats.size) === file.size &&
    now.ino === stamp.ino &&
    now.mtimeNs === stamp.mtimeNs &&
    now.ctimeNs === stamp.ctimeNs;
  if (isSame) return;
  throw new HoldfastError('conflict', 'It changed while it was synced. Sync again when nobody writes to it.');
}

/** The bytes of a small file in the state that was planned with. Errors as `openPlanned`. */
export async function plannedBytes(absolute: string, file: SyncFile): Promise<Buffer<ArrayBuffer>> {
  await using handle = await openPlanned(absolute, file);
  const bytes = Buffer.alloc(file.size);
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await handle.read(bytes, at, bytes.length - at, at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  requireUnchanged(file, await handle.stat({ bigint: true }));
  return bytes;
}
