import { sha256Hex } from '@holdfast/bytes/sha256';
import type { Bucket } from './bucket.ts';
import type { CallOptions } from './connection.ts';
import { isFromWrite } from './object-metadata.ts';
import { deleteObject, getSmall, putObject } from './objects.ts';
import { abortUpload } from './uploads.ts';
import type { UploadHandle } from './uploads.ts';

/** An upload, and the mark of the object that it is to become, if it gets one. */
export interface UploadRecord extends UploadHandle {
  writeId: string | undefined;
}

/** Leaves a record of an upload in the staging area. Its name tells the owner, its age when the upload began. */
export async function writeRecord(
  bucket: Bucket,
  name: string,
  upload: UploadRecord,
  options: CallOptions,
): Promise<void> {
  const { key, uploadId, writeId } = upload;
  const text = JSON.stringify({ owner_id: bucket.ownerId, key, upload_id: uploadId, write_id: writeId });
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
): Promise<UploadRecord | undefined> {
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
  if (!key.startsWith(bucket.keys.prefix)) return undefined;
  const writeId = 'write_id' in value && typeof value.write_id === 'string' ? value.write_id : undefined;
  return { key, uploadId, writeId };
}

/**
 * Gives an upload up, unless its object is there: OpenStack Swift still takes an abort when it died between publishing
 * an object and forgetting its upload, and removes the object's bytes then.
 * @returns whether there was an upload to give up
 */
export async function abandonUpload(
  bucket: Bucket,
  upload: UploadRecord,
  options: CallOptions,
): Promise<boolean> {
  const { connection } = bucket;
  const { key, writeId } = upload;
  const isPublished =
    writeId !== undefined && (await isFromWrite(connection, key, writeId, options)) === true;
  if (isPublished) return false;
  await abortUpload(connection, upload, options);
  return true;
}
