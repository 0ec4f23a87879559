import { errnoOf } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { statfs } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/** From this size on the space is really allocated; below, the process that does it costs more than it is worth. */
const ALLOCATE_BYTES = 64 * 1024 * 1024;

/** @throws HoldfastError `storage_full` when a file system cannot have room for so many bytes */
export async function requireSpace(folder: string, size: number, label: string): Promise<void> {
  const { bsize, bfree } = await statfs(folder);
  if (size <= bfree * bsize) return;
  throw storageFull(label, size, `${bfree * bsize} are free`);
}

/**
 * Gives an empty file its full size. Where it can, the space is allocated, so that a full disk shows now and not when most
 * of the bytes have travelled; otherwise the file has a hole.
 * @throws HoldfastError `storage_full`; the system's errors
 */
export async function allocate(handle: FileHandle, size: number, label: string): Promise<void> {
  if (size >= ALLOCATE_BYTES && (await allocateReally(handle, size, label))) return;
  await handle.truncate(size);
}

/** Node has no posix_fallocate(3); the command of util-linux has. False when it is not there, or cannot do it here. */
async function allocateReally(handle: FileHandle, size: number, label: string): Promise<boolean> {
  const child = spawn('fallocate', ['--length', String(size), '/proc/self/fd/3'], {
    stdio: ['ignore', 'ignore', 'pipe', handle.fd],
    env: { ...process.env, LC_ALL: 'C' },
  });
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint += text.slice(0, 1000);
  });
  try {
    await once(child, 'close');
    if (child.exitCode === 0) return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
  if (/No space left|Disk quota exceeded/.test(complaint)) throw storageFull(label, size, complaint.trim());
  return false;
}

function storageFull(label: string, size: number, reason: string): HoldfastError {
  const text = `There is no room for the ${size} bytes of ${label} (${reason}). Free some space, then try again.`;
  return new HoldfastError('storage_full', text);
}
