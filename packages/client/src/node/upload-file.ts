import { open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { HashPool } from '@holdfast/bytes/hash-pool';
import { HoldfastError } from '@holdfast/contract/errors';
import type { HubClient } from '../client.ts';
import { upload } from '../upload.ts';
import type { UploadOptions, UploadOutcome } from '../upload-options.ts';
import { HttpChunkSender } from './http-chunk-sender.ts';
import { localFileSource } from './local-file.ts';
import { folderJournal } from './upload-records.ts';

export interface UploadFileOptions extends Omit<UploadOptions, 'journal' | 'sender'> {
  /** Where uploads under way are remembered, below `uploads`. Made when it is not there. */
  stateDir: string;
}

/**
 * Sends a file of this machine, with its mtime and permission bits unless others are given, and remembers it in the state folder
 * until it is done: the next call for the same unchanged file, hub and destination goes on with it. A thread hashes the chunks while
 * others are sent. Chunks go over connections of their own, not by the client's `fetch`. Errors as `upload`.
 * @throws HoldfastError `file_not_found`, `forbidden`, `invalid_request` for a file that cannot be opened
 */
export async function uploadFile(
  client: HubClient,
  path: string,
  options: UploadFileOptions,
): Promise<UploadOutcome> {
  const name = resolve(path);
  await using handle = await opened(name);
  await using pool = new HashPool({ workers: 1 });
  const source = await localFileSource(handle, name, pool);
  using sender = new HttpChunkSender({ client, handle, source });
  const { stateDir, ...rest } = options;
  return await upload(client, source, {
    mtime: new Date(Number(source.stats.mtimeMs)).toISOString(),
    mode: Number(source.stats.mode & 0o7777n),
    ...rest,
    sender,
    journal: folderJournal(join(stateDir, 'uploads')),
  });
}

async function opened(path: string) {
  try {
    return await open(path, 'r');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new HoldfastError('file_not_found', `There is no file ${path}.`, { cause });
    if (code === 'EACCES' || code === 'EPERM') {
      throw new HoldfastError('forbidden', `${path} may not be read. Check its permissions.`, { cause });
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HoldfastError('invalid_request', `${path} cannot be opened: ${reason}.`, { cause });
  }
}
