import type { CallOptions, Connection } from './connection.ts';
import { failureOf } from './failure.ts';
import { bareEtag, garbled, unlessUnsupported } from './objects.ts';
import type { KeptHeaders } from './objects.ts';

/** A part that the server has: what CompleteMultipartUpload is told of it. */
export interface StoredPart {
  partNumber: number;
  etag: string;
}

/** A multipart upload that was begun. */
export interface UploadHandle {
  key: string;
  uploadId: string;
}

export async function createUpload(
  connection: Connection,
  key: string,
  metadata: Record<string, string>,
  headers: KeptHeaders,
  options: CallOptions,
): Promise<UploadHandle> {
  return connection.call(options, async ({ client, library, bucket }, abortSignal) => {
    const command = new library.CreateMultipartUploadCommand({
      Bucket: bucket,
      Key: key,
      Metadata: metadata,
      ...headers,
    });
    const { UploadId: uploadId } = await client.send(command, { abortSignal });
    if (uploadId === undefined || uploadId === '') throw garbled('id of the upload');
    return { key, uploadId };
  });
}

/** Sends one part; the signature covers its SHA-256, so that the server refuses other bytes. */
export async function uploadPart(
  connection: Connection,
  upload: UploadHandle,
  partNumber: number,
  part: { bytes: Uint8Array; sha256: string },
  options: CallOptions,
): Promise<StoredPart> {
  return connection.call(options, async ({ client, library, bucket, digests }, abortSignal) => {
    digests.set(part.bytes, part.sha256);
    const command = new library.UploadPartCommand({
      Bucket: bucket,
      Key: upload.key,
      UploadId: upload.uploadId,
      PartNumber: partNumber,
      Body: part.bytes,
      ContentLength: part.bytes.byteLength,
    });
    return { partNumber, etag: bareEtag((await client.send(command, { abortSignal })).ETag) };
  });
}

/** Has the server take a part from a range of another object, if (with an ETag) that is still the same version. */
export async function copyPart(
  connection: Connection,
  upload: UploadHandle,
  partNumber: number,
  source: { copySource: string; etag: string | undefined; start: number; end: number },
  options: CallOptions,
): Promise<StoredPart> {
  return connection.call(options, async ({ client, library, bucket }, abortSignal) => {
    const command = new library.UploadPartCopyCommand({
      Bucket: bucket,
      Key: upload.key,
      UploadId: upload.uploadId,
      PartNumber: partNumber,
      CopySource: source.copySource,
      ...(source.etag === undefined ? {} : { CopySourceIfMatch: `"${source.etag}"` }),
      CopySourceRange: `bytes=${source.start}-${source.end - 1}`,
    });
    const { CopyPartResult: result } = await client.send(command, { abortSignal, requestTimeout: 1 });
    return { partNumber, etag: bareEtag(result?.ETag) };
  });
}

/**
 * Joins the parts: the moment at which the object appears, whole.
 * @param landed tells whether an earlier try took effect
 */
export async function completeUpload(
  connection: Connection,
  upload: UploadHandle,
  parts: readonly StoredPart[],
  ifAbsent: boolean,
  options: CallOptions,
  landed: () => Promise<true | undefined>,
): Promise<void> {
  const send = async (withCondition: boolean): Promise<true> =>
    connection.call<true>(
      options,
      async ({ client, library, bucket }, abortSignal) => {
        const command = new library.CompleteMultipartUploadCommand({
          Bucket: bucket,
          Key: upload.key,
          UploadId: upload.uploadId,
          MultipartUpload: {
            Parts: parts.map(({ partNumber, etag }) => ({ PartNumber: partNumber, ETag: `"${etag}"` })),
          },
          ...(withCondition ? { IfNoneMatch: '*' } : {}),
        });
        await client.send(command, { abortSignal, requestTimeout: 1 });
        return true;
      },
      landed,
    );
  await unlessUnsupported(send, ifAbsent);
}

/** Gives an upload up; one that is gone already is fine. */
export async function abortUpload(
  connection: Connection,
  upload: UploadHandle,
  options: CallOptions,
): Promise<void> {
  await connection.call(options, async ({ client, library, bucket }, abortSignal) => {
    try {
      const { key, uploadId } = upload;
      const command = new library.AbortMultipartUploadCommand({
        Bucket: bucket,
        Key: key,
        UploadId: uploadId,
      });
      await client.send(command, { abortSignal });
    } catch (error) {
      const failure = failureOf(error);
      if (!failure.isMissing) throw failure;
    }
  });
}

/** Uploads that are under way for keys with a beginning (the first 1000). */
export async function listUploads(
  connection: Connection,
  prefix: string,
  options: CallOptions,
): Promise<(UploadHandle & { initiated: Date })[]> {
  return connection.call(options, async ({ client, library, bucket }, abortSignal) => {
    const command = new library.ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix });
    const { Uploads: uploads } = await client.send(command, { abortSignal });
    return (uploads ?? []).flatMap(({ Key: key, UploadId: uploadId, Initiated: initiated }) =>
      key === undefined || uploadId === undefined || initiated === undefined
        ? []
        : [{ key, uploadId, initiated }],
    );
  });
}
