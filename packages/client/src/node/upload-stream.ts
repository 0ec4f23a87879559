import { randomUUID } from 'node:crypto';
import { mkdir, open, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { HashPool } from '@holdfast/bytes/hash-pool';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { HubClient } from '../client.ts';
import { upload } from '../upload.ts';
import type { UploadOutcome } from '../upload-options.ts';
import { HttpChunkSender } from './http-chunk-sender.ts';
import { localFileSource } from './local-file.ts';
import type { UploadFileOptions } from './upload-file.ts';

/**
 * Sends a stream whose length is not known, such as standard input. It is kept in a nameless file of the state folder first, so that
 * chunks can be sent again; its SHA-256 is known then, and what the hub has already is not sent. Errors as `upload`.
 * @throws HoldfastError `checksum_mismatch` when the stream is not what `sha256` promises; `storage_full`
 */
export async function uploadStream(
  client: HubClient,
  stream: AsyncIterable<Uint8Array>,
  { stateDir, ...options }: UploadFileOptions,
): Promise<UploadOutcome> {
  await using handle = await namelessFile(stateDir);
  await using pool = new HashPool({ workers: 1 });
  const sha256 = await spooled(stream, handle, stateDir, options.signal);
  if (options.sha256 !== undefined && options.sha256 !== sha256) {
    throw new HoldfastError(
      'checksum_mismatch',
      `The stream has the SHA-256 ${sha256}, and not ${options.sha256}. Nothing was sent.`,
    );
  }
  const source = await localFileSource(handle, 'the stream', pool);
  using sender = new HttpChunkSender({ client, handle, source });
  return await upload(client, source, { ...options, sha256, sender });
}

/** It goes with the process, however that ends. */
async function namelessFile(folder: string): Promise<FileHandle> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `spool-${randomUUID()}`);
  const handle = await open(path, 'wx+', 0o600);
  await unlink(path);
  return handle;
}

async function spooled(
  stream: AsyncIterable<Uint8Array>,
  handle: FileHandle,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const digest = new StreamDigest();
  for await (const piece of stream) {
    throwIfCancelled(signal, 'Keeping the stream');
    digest.update(piece);
    try {
      await handle.writeFile(piece);
    } catch (cause) {
      const isFull = cause instanceof Error && 'code' in cause && cause.code === 'ENOSPC';
      if (!isFull) throw cause;
      throw new HoldfastError(
        'storage_full',
        `There is no space left in ${folder}, where the stream is kept before it is sent. Make room, or choose another state folder.`,
        { cause },
      );
    }
  }
  return digest.hex();
}
