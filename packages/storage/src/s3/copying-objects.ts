import { StagingSlot } from '../volume/staging-slot.ts';
import type { Bucket } from './bucket.ts';
import type { CallOptions } from './connection.ts';
import { S3Failure } from './failure.ts';
import { headObject, unlessUnsupported } from './objects.ts';
import type { StoredObject } from './objects.ts';
import { RecordedUpload } from './recorded-upload.ts';
import { runBounded } from './run-bounded.ts';
import { copyPart } from './uploads.ts';

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
  bucket: Bucket,
  copy: ObjectCopy,
  options: CallOptions,
  landed: () => Promise<true | undefined>,
): Promise<void> {
  if (copy.source.size > (copy.singleLimit ?? MAX_SINGLE_COPY)) {
    await copyByParts(bucket, copy, options, landed);
    return;
  }
  const send = async (withCondition: boolean): Promise<true> =>
    bucket.connection.call<true>(
      options,
      async ({ client, library, bucket: Bucket }, abortSignal) => {
        const command = new library.CopyObjectCommand({
          Bucket,
          Key: copy.to,
          CopySource: copySourceOf(Bucket, copy.from),
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
  try {
    await unlessUnsupported(send, copy.ifAbsent);
  } catch (error) {
    if (!(await isBlindRefusal(bucket, copy, error, options))) throw error;
    // By parts, the version can be looked at before the copy appears.
    await copyByParts(bucket, copy, options, landed);
  }
}

/**
 * Whether a server refused a copy for another version than the one that is there. OpenStack Swift compares the condition
 * of a copy with an ETag of its own when the source was uploaded by parts, and so refuses every such copy.
 */
async function isBlindRefusal(
  bucket: Bucket,
  copy: ObjectCopy,
  error: unknown,
  options: CallOptions,
): Promise<boolean> {
  if (!(error instanceof S3Failure) || !error.isPrecondition) return false;
  if (!(await isSource(bucket, copy, options))) return false;
  return !copy.ifAbsent || (await headObject(bucket.connection, copy.to, options)) === undefined;
}

/** Whether the source of a copy is still the version that is to be copied. */
async function isSource(
  bucket: Bucket,
  { from, source }: ObjectCopy,
  options: CallOptions,
): Promise<boolean> {
  const now = await headObject(bucket.connection, from, options);
  return now?.etag === source.etag && now.lastModified.getTime() === source.lastModified.getTime();
}

async function copyByParts(
  bucket: Bucket,
  copy: ObjectCopy,
  options: CallOptions,
  landed: () => Promise<true | undefined>,
): Promise<void> {
  const { source, from, to } = copy;
  using slot = new StagingSlot(bucket.ownerId);
  const recordName = slot.intentName;
  const { metadata } = copy;
  const begin = { bucket, key: to, metadata, headers: source.headers, recordName };
  const upload = await RecordedUpload.begin(begin, options);
  try {
    const partBytes = Math.min(copyPartBytes, copy.singleLimit ?? copyPartBytes);
    const starts = Array.from(
      { length: Math.ceil(source.size / partBytes) },
      (_, index) => index * partBytes,
    );
    const copySource = copySourceOf(bucket.connection.place.bucket, from);
    const parts = await runBounded(starts, parallelParts, async (start) => {
      const end = Math.min(start + partBytes, source.size);
      const number = 1 + start / partBytes;
      try {
        const part = { copySource, etag: source.etag, start, end };
        return await copyPart(bucket.connection, upload.handle, number, part, options);
      } catch (error) {
        if (!(await isBlindRefusal(bucket, { ...copy, ifAbsent: false }, error, options))) throw error;
        return copyPart(
          bucket.connection,
          upload.handle,
          number,
          { copySource, etag: undefined, start, end },
          options,
        );
      }
    });
    // Ceph's gateway ignores the condition on the copy of a part, and Swift's was left out, so that the version is
    // looked at once more.
    if (!(await isSource(bucket, copy, options))) {
      throw new S3Failure({
        code: 'PreconditionFailed',
        message: 'the source is another version',
        status: 412,
      });
    }
    await upload.join(parts, copy.ifAbsent, options, landed);
  } catch (error) {
    await upload.giveUp(options.doing, error);
    throw error;
  }
}
