import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { HashPool } from '@holdfast/bytes/hash-pool';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { changed } from '../upload-source.ts';
import type { UploadSource } from '../upload-source.ts';

/** A file of this machine, and what it was when the upload began. */
export interface LocalFileSource extends UploadSource {
  readonly stats: BigIntStats;
  sha256Of(start: number, end: number, signal: AbortSignal): Promise<string>;
}

/**
 * An open file as the source of an upload. The handle and the pool must live until the upload has ended.
 * @throws HoldfastError `invalid_request` for what is no regular file
 */
export async function localFileSource(
  handle: FileHandle,
  name: string,
  pool: Pick<HashPool, 'hashFd'>,
): Promise<LocalFileSource> {
  const stats = await handle.stat({ bigint: true });
  if (!stats.isFile()) {
    throw new HoldfastError(
      'invalid_request',
      `${name} is not a regular file. Send a folder file by file, and a pipe by standard input.`,
    );
  }
  const size = Number(stats.size);
  const source: LocalFileSource = {
    stats,
    size,
    name,
    identity: JSON.stringify([name, size, ...[stats.mtimeNs, stats.ino, stats.dev].map(String)]),
    slice: (start, end) => readExactly(handle, start, end - start),
    async isUnchanged() {
      const now = await handle.stat({ bigint: true });
      return now.size === stats.size && now.mtimeNs === stats.mtimeNs;
    },
    async sha256Of(start, end, signal) {
      const options = { size: end - start, range: { start, end }, signal };
      const hashed = await pool.hashFd(handle.fd, options).catch((cause: unknown) => {
        throw isHoldfastError(cause, 'backend_unavailable') ? changed(source, cause) : cause;
      });
      if (hashed.bytes !== end - start) throw changed(source);
      return hashed.sha256;
    },
  };
  return source;
}

/** As many bytes as there are, up to `length`, from a position. */
async function readExactly(
  handle: FileHandle,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
