import { Readable } from 'node:stream';
import type { SpoolFile } from '../../spool/spool-file.ts';
import type { CallOptions, Connection } from '../connection.ts';
import { bareEtag } from '../objects.ts';
import type { UploadHandle } from '../uploads.ts';

/** Bytes of a spool file that are to be sent; the signature covers their SHA-256, so that S3 refuses any others. */
export interface SpooledBytes {
  file: SpoolFile;
  start: number;
  end: number;
  /** Lower-case hex. */
  sha256: string;
}

/** Sends a part from the spool; memory is two reads, whatever its size. @returns its ETag @throws S3Failure */
export async function sendPart(
  connection: Connection,
  upload: UploadHandle,
  partNumber: number,
  bytes: SpooledBytes,
  options: CallOptions,
): Promise<string> {
  return connection.call(options, async ({ client, library, bucket, digests }, signal) =>
    withBody(bytes, digests, signal, async (body, abortSignal) => {
      const command = new library.UploadPartCommand({
        Bucket: bucket,
        Key: upload.key,
        UploadId: upload.uploadId,
        PartNumber: partNumber,
        Body: body,
        ContentLength: bytes.end - bytes.start,
      });
      return bareEtag((await client.send(command, { abortSignal })).ETag);
    }),
  );
}

/** Stores bytes of the spool under a key in one request. @returns the ETag of the object @throws S3Failure */
export async function sendObject(
  connection: Connection,
  key: string,
  bytes: SpooledBytes,
  metadata: Record<string, string>,
  options: CallOptions,
): Promise<string> {
  return connection.call(options, async ({ client, library, bucket, digests }, signal) =>
    withBody(bytes, digests, signal, async (body, abortSignal) => {
      const command = new library.PutObjectCommand({
        Bucket: bucket,
        Key: key,
        Body: body,
        ContentLength: bytes.end - bytes.start,
        Metadata: metadata,
      });
      return bareEtag((await client.send(command, { abortSignal })).ETag);
    }),
  );
}

async function withBody<T>(
  { file, start, end, sha256 }: SpooledBytes,
  digests: WeakMap<object, string>,
  signal: AbortSignal,
  send: (body: Readable | Uint8Array, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (start === end) {
    const nothing = new Uint8Array(0);
    digests.set(nothing, sha256);
    return send(nothing, signal);
  }
  const body = Readable.from(file.chunks(start, end), { objectMode: false });
  digests.set(body, sha256);
  // The client library does not hear of a body that fails: the request would wait for the rest of it.
  const broken = new AbortController();
  let failure: Error | undefined;
  body.once('error', (error) => {
    failure = error;
    broken.abort();
  });
  try {
    return await send(body, AbortSignal.any([signal, broken.signal]));
  } catch (error) {
    throw failure ?? error;
  } finally {
    body.destroy();
  }
}
