import { HoldfastError } from '@holdfast/contract/errors';
import { randomUUID } from 'node:crypto';
import type { Bucket } from '../bucket.ts';
import type { CallOptions } from '../connection.ts';
import { copyObject } from '../copying-objects.ts';
import { S3Failure } from '../failure.ts';
import { SHA256, WRITE_ID } from '../object-metadata.ts';
import { headObject } from '../objects.ts';
import type { StoredObject } from '../objects.ts';
import { contentKey } from '../vault/content-key.ts';

/** The object of a content, if the one there is whole. Some servers keep no metadata; then the size has to do. */
export async function findContent(
  bucket: Bucket,
  sha256: string,
  size: number | undefined,
  call: CallOptions,
): Promise<StoredObject | undefined> {
  const object = await headObject(bucket.connection, contentKey(bucket, sha256), call);
  if (object === undefined || object.size !== (size ?? object.size)) return undefined;
  return (object.metadata[SHA256] ?? sha256) === sha256 ? object : undefined;
}

/**
 * Copies an object on the server to its place in the vault, unless the content is there; the source stays. The copy
 * appears whole, in one step of the server.
 * @returns false when the content was there already
 * @throws HoldfastError `file_not_found` when there is neither the source nor the content, `conflict`; S3Failure
 */
export async function copyIntoVault(
  bucket: Bucket,
  from: string,
  content: { sha256: string; size: number },
  call: CallOptions,
): Promise<boolean> {
  const { connection } = bucket;
  const { sha256, size } = content;
  const to = contentKey(bucket, sha256);
  const isThere = async (): Promise<true | undefined> =>
    (await findContent(bucket, sha256, size, call)) === undefined ? undefined : true;
  const [there, source] = await Promise.all([
    headObject(connection, to, call),
    headObject(connection, from, call),
  ]);
  if (there !== undefined && (await isThere()) === true) return false;
  if (source?.size !== size) {
    const text = `The ${size} bytes that were to become the content ${sha256} are gone. Send them again.`;
    throw new HoldfastError('file_not_found', text);
  }
  try {
    const metadata = { [SHA256]: sha256, [WRITE_ID]: randomUUID() };
    const ifAbsent = there === undefined;
    await copyObject(bucket, { from, source, to, metadata, ifAbsent }, call, isThere);
  } catch (error) {
    if (!(error instanceof S3Failure) || !error.isPrecondition) throw error;
    // Another hub put the same content there in this moment.
    if ((await isThere()) === true) return false;
    throw error;
  }
  if ((await isThere()) === true) return true;
  const text = `The content ${sha256} was removed or replaced as soon as it was stored. Try again.`;
  throw new HoldfastError('conflict', text, { retryable: true });
}
