import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

const READ_BYTES = 1024 * 1024;

async function digestOf(path: string, flags: number): Promise<StreamDigest> {
  await using handle = await open(path, flags);
  const digest = new StreamDigest();
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.byteLength, digest.bytes);
    if (bytesRead === 0) return digest;
    digest.update(buffer.subarray(0, bytesRead));
  }
}

/**
 * Past the page cache, so that the bytes come from the server. NFS takes any buffer for that; file systems that want
 * an aligned one, which Node does not have, are local and are read as usual.
 */
async function digestPastCache(path: string): Promise<StreamDigest> {
  return digestOf(path, constants.O_RDONLY | constants.O_DIRECT).catch((error: unknown) => {
    if (errnoOf(error) !== 'EINVAL') throw error;
    return digestOf(path, constants.O_RDONLY);
  });
}

/**
 * Reads a staged file back from the server and compares it with what was computed from the source.
 * @throws HoldfastError `backend_unavailable` when the server has other bytes
 */
export async function verifyReadBack(
  path: string,
  expected: { size: number; sha256: string },
): Promise<void> {
  const digest = await digestPastCache(path).catch((error: unknown) => {
    throw fileSystemError(error, 'Reading the bytes back from the server', 'read');
  });
  if (digest.bytes === expected.size && digest.hex() === expected.sha256) return;
  throw new HoldfastError(
    'backend_unavailable',
    'The server has other bytes than were sent to it. Nothing was published. Check the network for damaged packets, ' +
      'then try again.',
  );
}
