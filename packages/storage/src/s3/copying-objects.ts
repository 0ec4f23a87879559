import type { CallOptions, Connection } from './connection.ts';
import { S3Failure } from './failure.ts';
import { headObject, unlessUnsupported } from './objects.ts';
import type { StoredObject } from './objects.ts';
import { runBounded } from './run-bounded.ts';
import { abortUpload, completeUpload, copyPart, createUpload } from './uploads.ts';

/** Bytes of the largest object that one CopyObject copies (Amazon S3 API, CopyObject). */
const MAX_SINGLE_COPY = 5 * 1024 ** 3;
/** Bytes of a part of a larger copy: 10,000 of them are the 5 TiB that an object may have. */
const copyPartBytes = 1024 ** 3;
const parallelParts = 4;

export interface ObjectCopy {
  from: string;
  /** The version that is to be copied; another one is refused. */
  source: StoredObject;
  to: string;
  /** Of the copy, in place of the source's. */
  metadata: Record<string, string>;
  ifAbsent: boolean;
  /** From this size on the copy is made by parts. */
  singleLimit?: number;
}

/** The source of a copy as its header wants it: percent-encoded, but for the slashes. */
function copySourceOf(bucket: string, key: string): string {
  return `${bucket}/${key}`.split('/').map(encodeURIComponent).join('/');
}

/**
 * Copies an object on the server: by one request up to 5 GiB, by parts beyond. The copy appears whole, or not at all.
 * @param landed tells whether an earlier try took effect
 * @throws S3Failure with `isPrecondition` when the source is another version by now
 */
export async function copyObject(
  connection: Connection,
  copy: ObjectCopy,
  options: CallOptions,
  landed: () => Promise<true | undefined>,
): Promise<void> {
  if (copy.source.size > (copy.singleLimit ?? MAX_SINGLE_COPY)) {
    await copyByParts(connection, copy, options, landed);
    return;
  }
  const send = async (withCondition: boolean): Promise<true> =>
    connection.call<true>(
      options,
      async ({ client, library, bucket }, abortSignal) => {
        const command = new library.CopyObjectCommand({
          Bucket: bucket,
          Key: copy.to,
          CopySource: copySourceOf(bucket, copy.from),
          CopySourceIfMatch: `"${copy.source.etag}"`,
          MetadataDirective: 'REPLACE',
          Metadata: copy.metadata,
          ...copy.source.headers,
          ...(withCondition ? { IfNoneMatch: '*' } : {}),
        });
        await client.send(command, { abortSignal, requestTimeout: 1 });
        return true;
      },
      landed,
    );
  await unlessUnsupported(send, copy.ifAbsent);
}

async function copyByParts(
  connection: Connection,
  copy: ObjectCopy,
  options: CallOptions,
  landed: () => Promise<true | undefined>,
): Promise<void> {
  const { source, from, to } = copy;
  const upload = await createUpload(connection, to, copy.metadata, source.headers, options);
  try {
    const partBytes = Math.min(copyPartBytes, copy.singleLimit ?? copyPartBytes);
    const starts = Array.from(
      { length: Math.ceil(source.size / partBytes) },
      (_, index) => index * partBytes,
    );
    const copySource = copySourceOf(connection.place.bucket, from);
    const parts = await runBounded(starts, parallelParts, async (start) => {
      const end = Math.min(start + partBytes, source.size);
      const part = { copySource, etag: source.etag, start, end };
      return copyPart(connection, upload, 1 + start / partBytes, part, options);
    });
    // Ceph's gateway ignores the condition on the copy of a part, so that the version is looked at once more.
    if ((await headObject(connection, from, options))?.etag !== source.etag) {
      throw new S3Failure({
        code: 'PreconditionFailed',
        message: 'the source is another version',
        status: 412,
      });
    }
    await completeUpload(connection, upload, parts, copy.ifAbsent, options, landed);
  } catch (error) {
    // The first error counts.
    await abortUpload(connection, upload, { doing: options.doing }).catch((problem: unknown) => {
      connection.logger?.warn({ key: to, err: problem }, 'an upload for a copy could not be aborted');
    });
    throw error;
  }
}

/** Whether the object behind a key came of the write with this id. */
export async function isFromWrite(
  connection: Connection,
  key: string,
  writeId: string,
  options: CallOptions,
): Promise<true | undefined> {
  const object = await headObject(connection, key, options);
  return object?.metadata[WRITE_ID] === writeId ? true : undefined;
}

/** Metadata: which write made an object, to tell after a lost answer. */
export const WRITE_ID = 'holdfast-write';
/** Metadata: the SHA-256 of the object's bytes, lower-case hex. */
export const SHA256 = 'holdfast-sha256';
