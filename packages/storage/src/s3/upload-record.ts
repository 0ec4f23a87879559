import { sha256Hex } from '@holdfast/bytes/sha256';
import type { Bucket } from './bucket.ts';
import type { CallOptions } from './connection.ts';
import { deleteObject, getSmall, putObject } from './objects.ts';
import type { UploadHandle } from './uploads.ts';

/** Leaves a record of an upload in the staging area. Its name tells the owner, its age when the upload began. */
export async function writeRecord(
  bucket: Bucket,
  name: string,
  upload: UploadHandle,
  options: CallOptions,
): Promise<void> {
  const { key, uploadId } = upload;
  const text = JSON.stringify({ owner_id: bucket.ownerId, key, upload_id: uploadId });
  const bytes = Buffer.from(text);
  await putObject(bucket.connection, bucket.keys.staging + name, bytes, sha256Hex(bytes), {}, options);
}

export async function removeRecord(bucket: Bucket, name: string, options: CallOptions): Promise<void> {
  await deleteObject(bucket.connection, bucket.keys.staging + name, options);
}

/** The upload that a record tells of; undefined when the record is gone, or is none. */
export async function readRecord(
  bucket: Bucket,
  name: string,
  options: CallOptions,
): Promise<UploadHandle | undefined> {
  const bytes = await getSmall(bucket.connection, bucket.keys.staging + name, options);
  if (bytes === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('key' in value) || !('upload_id' in value))
    return undefined;
  const { key, upload_id: uploadId } = value;
  if (typeof key !== 'string' || typeof uploadId !== 'string') return undefined;
  // Only what is ours is ever aborted, whatever a record says.
  return key.startsWith(bucket.keys.prefix) ? { key, uploadId } : undefined;
}
