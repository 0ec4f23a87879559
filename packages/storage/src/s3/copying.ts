import { isRoot } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import { randomUUID } from 'node:crypto';
import type { CopyOptions, StorageEntry, WriteResult } from '../backend.ts';
import { isAFolder } from '../path-rules/refusals.ts';
import { pathTaken, requireDestination } from '../path-rules/relocating.ts';
import { entryOrNull } from './bucket.ts';
import type { Bucket, Found } from './bucket.ts';
import type { CallOptions } from './connection.ts';
import { copyObject } from './copying-objects.ts';
import { fileEntry } from './entry.ts';
import { S3Failure } from './failure.ts';
import { isFromWrite, SHA256, WRITE_ID } from './object-metadata.ts';
import { headObject } from './objects.ts';
import type { StoredObject } from './objects.ts';
import type { S3File } from './open-file.ts';
import { openFile } from './reading.ts';

export interface FileCopy {
  from: BackendPath;
  /** The version that is to be copied. */
  source: StoredObject;
  to: BackendPath;
  /** Known SHA-256 of that version, for the metadata of the copy. Default: what its own metadata says. */
  sha256?: string;
  overwrite: boolean;
  /** From this size on the copy is made by parts; for tests. */
  singleLimit?: number;
}

/**
 * Copies one version of a file on the server, to a path that was found free or may be replaced.
 * @throws HoldfastError `conflict` when the source is another version by now
 */
export async function copyOnServer(bucket: Bucket, copy: FileCopy, call: CallOptions): Promise<StorageEntry> {
  const { source, from, to, overwrite } = copy;
  const { connection, keys } = bucket;
  const writeId = randomUUID();
  const key = keys.ofFile(to);
  const metadata = {
    ...source.metadata,
    ...(copy.sha256 === undefined ? {} : { [SHA256]: copy.sha256 }),
    [WRITE_ID]: writeId,
  };
  const limit = copy.singleLimit === undefined ? {} : { singleLimit: copy.singleLimit };
  const objects = { from: keys.ofFile(from), source, to: key, metadata, ifAbsent: !overwrite, ...limit };
  try {
    await copyObject(bucket, objects, call, () => isFromWrite(connection, key, writeId, call));
  } catch (error) {
    if (!(error instanceof S3Failure) || !error.isPrecondition) throw error;
    // The condition was about the source, or about the target: a look tells which.
    const now = await bucket.objectAt(from, call);
    if (!overwrite && now?.etag === source.etag) throw pathTaken(to);
    const text = `${from} was changed while it was copied. Nothing was changed at ${to}; try again.`;
    throw new HoldfastError('conflict', text, { retryable: true, cause: error });
  }
  const made = await headObject(connection, key, call);
  if (made?.size === source.size) return fileEntry(to, made);
  const text = `${to} was changed by another client as soon as it was made. Look at it again.`;
  throw new HoldfastError('conflict', text, { retryable: true });
}

/**
 * Copies a file: its bytes are read and hashed, and the server copies that very version. So a source that has rotted
 * is not multiplied under a digest that it no longer has, and nothing is sent back.
 */
export async function copyFile(
  bucket: Bucket,
  from: BackendPath,
  to: BackendPath,
  options: CopyOptions,
): Promise<WriteResult> {
  if (isRoot(to)) throw isAFolder(to);
  const { signal } = options;
  const overwrite = options.overwrite === true;
  const doing = `Copying ${from} to ${to}`;
  const call = { doing, signal, patience: 'long' } as const;
  const requireFree = (found: Found): void =>
    requireDestination({ path: from, type: 'file' }, to, entryOrNull(to, found)?.type ?? null, overwrite);
  await using file = await openFile(bucket, undefined, from, signal);
  return await bucket.run(doing, 'write', signal, async () => {
    requireFree(await bucket.findForWriting(to, call));
    const sha256 = await digestOf(file, signal);
    if (options.expectedSha256 !== undefined && options.expectedSha256 !== sha256) {
      const text = `${from} was expected to have SHA-256 ${options.expectedSha256}, but its bytes have ${sha256}.`;
      throw new HoldfastError('checksum_mismatch', `${text} No copy was made.`);
    }
    return bucket.locks.hold([to], async () => {
      const found = await bucket.findForWriting(to, call);
      requireFree(found);
      throwIfCancelled(signal, doing);
      const entry = await copyOnServer(bucket, { from, source: file.object, to, sha256, overwrite }, call);
      return { entry, sha256, replaced: found.object !== undefined };
    });
  });
}

async function digestOf(file: S3File, signal: AbortSignal | undefined): Promise<string> {
  const digest = new StreamDigest();
  const options = signal === undefined ? {} : { signal };
  for await (const chunk of file.stream(undefined, options)) digest.update(chunk);
  return digest.hex();
}
