import { S3Failure } from '../failure.ts';
import type { CallOptions, Connection } from '../connection.ts';
import { bareEtag, garbled } from '../objects.ts';
import type { StoredObject } from '../objects.ts';
import { completeUpload } from '../uploads.ts';
import type { StoredPart, UploadHandle } from '../uploads.ts';
import type { StagedObject } from './staged-object.ts';

/** A part with the bytes that it must have. */
export interface JoinedPart extends StoredPart {
  bytes: number;
}

export interface Joined {
  object: StoredObject;
  /** False when parts had other ETags than were noted: their bytes are to be read back. */
  asNoted: boolean;
}

/**
 * Joins the parts of an upload to the staged object. Once it was joined, it is again only looked at.
 * @throws HoldfastError `file_not_found` when the upload is gone, and there is no object of that size; S3Failure
 */
export async function joinParts(
  staged: StagedObject,
  upload: UploadHandle,
  parts: readonly JoinedPart[],
  call: CallOptions,
): Promise<Joined> {
  const { connection } = staged.bucket;
  const size = parts.reduce((sum, part) => sum + part.bytes, 0);
  const landed = async (): Promise<true | undefined> =>
    (await staged.find(call))?.size === size ? true : undefined;
  const complete = (with_: readonly StoredPart[]): Promise<void> =>
    completeUpload(connection, upload, with_, false, call, landed);
  let asNoted = true;
  try {
    await complete(parts);
  } catch (error) {
    if (!(error instanceof S3Failure)) throw error;
    if (error.code === 'InvalidPart') {
      // An ETag that was damaged on its way here. The bytes of the parts were never in doubt: they were signed.
      asNoted = false;
      await complete(await partsAsStored(connection, upload, parts, call));
    } else if (error.code === 'NoSuchBucket') throw error;
    // Joined before: servers say so with "no such upload", or (Ceph) that it is being joined.
    else if (!error.isMissing && (await staged.find(call)) === undefined) throw error;
  }
  const object = await staged.find(call);
  if (object?.size !== size) throw staged.gone();
  return { object, asNoted };
}

/** The same parts with the ETags that the server has for them. @throws S3Failure when it has others */
async function partsAsStored(
  connection: Connection,
  upload: UploadHandle,
  parts: readonly JoinedPart[],
  call: CallOptions,
): Promise<StoredPart[]> {
  const stored = new Map<number, { etag: string; bytes: number }>();
  for (let marker: string | undefined; ;) {
    const after = marker;
    const page = await connection.call(call, async ({ client, library, bucket }, abortSignal) => {
      const command = new library.ListPartsCommand({
        Bucket: bucket,
        Key: upload.key,
        UploadId: upload.uploadId,
        ...(after === undefined ? {} : { PartNumberMarker: after }),
      });
      return client.send(command, { abortSignal });
    });
    for (const { PartNumber: number, ETag: etag, Size: bytes } of page.Parts ?? []) {
      if (number !== undefined && bytes !== undefined) stored.set(number, { etag: bareEtag(etag), bytes });
    }
    marker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
    if (marker === undefined) break;
  }
  return parts.map(({ partNumber, bytes }) => {
    const part = stored.get(partNumber);
    if (part?.bytes !== bytes) throw garbled(`part ${partNumber} of ${bytes} bytes`);
    return { partNumber, etag: part.etag };
  });
}
