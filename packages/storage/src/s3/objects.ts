import type { HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import { IncomingMessage } from 'node:http';
import type { CallOptions, Connection } from './connection.ts';
import type { ObjectInfo } from './entry.ts';
import { failureOf, S3Failure } from './failure.ts';

/** Objects that are read as a whole are small ones of our own. */
const maxSmallBytes = 64 * 1024;
/** Keys of one DeleteObjects request (Amazon S3 API, DeleteObjects). */
const deleteBatch = 1000;

/** Headers that an object is kept with, as the client library names them; a copy has them too. */
export type KeptHeaders = Pick<
  HeadObjectCommandOutput,
  'CacheControl' | 'ContentDisposition' | 'ContentEncoding' | 'ContentLanguage' | 'ContentType'
>;

/** An object with what goes with it. */
export interface StoredObject extends ObjectInfo {
  /** Names in lower case, without `x-amz-meta-`. */
  metadata: Readonly<Record<string, string>>;
  headers: KeptHeaders;
}

export interface PutOptions {
  metadata?: Record<string, string>;
  /** Refuse with 412 when the key is taken, where the server knows `If-None-Match` for writes. */
  ifAbsent?: boolean;
}

/** The error for an answer that lacks what every answer of its kind has. */
export function garbled(what: string): S3Failure {
  return new S3Failure({ code: 'Garbled', message: `the answer tells no ${what}` });
}

/** The bytes between the quotes of an ETag. */
export function bareEtag(etag: string | undefined): string {
  const bare = etag?.replace(/^(?:W\/)?"(.*)"$/, '$1');
  if (bare === undefined || bare === '') throw garbled('ETag');
  return bare;
}

function storedObject(output: HeadObjectCommandOutput): StoredObject {
  const { ContentLength: size, LastModified: lastModified } = output;
  if (size === undefined || !Number.isSafeInteger(size) || size < 0) throw garbled('size');
  if (lastModified === undefined || Number.isNaN(lastModified.getTime())) throw garbled('time');
  return {
    etag: bareEtag(output.ETag),
    size,
    lastModified,
    metadata: output.Metadata ?? {},
    headers: {
      CacheControl: output.CacheControl,
      ContentDisposition: output.ContentDisposition,
      ContentEncoding: output.ContentEncoding,
      ContentLanguage: output.ContentLanguage,
      ContentType: output.ContentType,
    },
  };
}

/** The object behind a key, or undefined. A missing bucket looks the same by HEAD: it has no body to tell by. */
export async function headObject(
  connection: Connection,
  key: string,
  options: CallOptions,
): Promise<StoredObject | undefined> {
  return connection.call(options, async ({ client, library, bucket }, abortSignal) => {
    try {
      const command = new library.HeadObjectCommand({ Bucket: bucket, Key: key });
      return storedObject(await client.send(command, { abortSignal }));
    } catch (error) {
      const failure = failureOf(error);
      if (failure.isMissing) return undefined;
      throw failure;
    }
  });
}

/** The whole of a small object, or undefined when there is none. @throws S3Failure `NoSuchBucket` */
export async function getSmall(
  connection: Connection,
  key: string,
  options: CallOptions,
): Promise<Buffer | undefined> {
  return connection.call(options, async ({ client, library, bucket }, abortSignal) => {
    try {
      const command = new library.GetObjectCommand({ Bucket: bucket, Key: key });
      const { Body: body, ContentLength: size } = await client.send(command, { abortSignal });
      if (body === undefined || size === undefined || size > maxSmallBytes) throw garbled('small object');
      return Buffer.from(await body.transformToByteArray());
    } catch (error) {
      const failure = failureOf(error);
      if (failure.code === 'NoSuchKey') return undefined;
      throw failure;
    }
  });
}

/**
 * A range of one version of an object as a response that is read by the caller, who destroys it when done early.
 * @throws S3Failure with `isPrecondition` when the object is another version, `isMissing` when it is gone
 */
export async function openRange(
  connection: Connection,
  key: string,
  etag: string,
  range: { start: number; end: number },
  options: CallOptions,
): Promise<IncomingMessage> {
  return connection.call(options, async ({ client, library, bucket }, abortSignal) => {
    const command = new library.GetObjectCommand({
      Bucket: bucket,
      Key: key,
      IfMatch: `"${etag}"`,
      Range: `bytes=${range.start}-${range.end - 1}`,
    });
    const output = await client.send(command, { abortSignal });
    const body: unknown = output.Body;
    if (!(body instanceof IncomingMessage)) throw garbled('body');
    const isRange = output.ContentRange?.startsWith(`bytes ${range.start}-${range.end - 1}/`) === true;
    const isWhole = range.start === 0 && output.ContentRange === undefined;
    if (output.ContentLength !== range.end - range.start || !(isRange || isWhole)) {
      body.destroy();
      throw garbled('range that was asked for');
    }
    if (bareEtag(output.ETag) === etag) return body;
    body.destroy();
    throw new S3Failure({ code: 'PreconditionFailed', message: 'another version came', status: 412 });
  });
}

/**
 * Stores bytes under a key in one request whose signature covers their SHA-256.
 * @param sha256 lower-case hex of the bytes
 * @param landed tells whether an earlier try of this very put took effect
 */
export async function putObject(
  connection: Connection,
  key: string,
  bytes: Uint8Array,
  sha256: string,
  put: PutOptions,
  options: CallOptions,
  landed?: () => Promise<true | undefined>,
): Promise<void> {
  const send = async (ifAbsent: boolean): Promise<true> =>
    connection.call<true>(
      options,
      async ({ client, library, bucket, digests }, abortSignal) => {
        digests.set(bytes, sha256);
        const command = new library.PutObjectCommand({
          Bucket: bucket,
          Key: key,
          Body: bytes,
          ContentLength: bytes.byteLength,
          ...(put.metadata === undefined ? {} : { Metadata: put.metadata }),
          ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
        });
        await client.send(command, { abortSignal });
        return true;
      },
      landed,
    );
  await unlessUnsupported(send, put.ifAbsent === true);
}

/** Makes a request with a condition; where the server does not know conditions on writes, without it. */
export async function unlessUnsupported<T>(
  send: (withCondition: boolean) => Promise<T>,
  wanted: boolean,
): Promise<T> {
  try {
    return await send(wanted);
  } catch (error) {
    if (wanted && error instanceof S3Failure && error.isUnsupported) return send(false);
    throw error;
  }
}

/** Removes one object; that there is none is no failure. */
export async function deleteObject(connection: Connection, key: string, options: CallOptions): Promise<void> {
  await connection.call(options, async ({ client, library, bucket }, abortSignal) => {
    await client.send(new library.DeleteObjectCommand({ Bucket: bucket, Key: key }), { abortSignal });
  });
}

// oxlint-disable-next-line no-control-regex -- XML 1.0 §2.2 has no way to write these
const unwritable = /[\u0000-\u001f\ufffe\uffff]/;

/**
 * Removes objects in batches of 1000 keys.
 * @throws S3Failure of the first key that was not removed
 */
export async function deleteObjects(
  connection: Connection,
  keys: readonly string[],
  options: CallOptions,
): Promise<void> {
  const plain = keys.filter((key) => !unwritable.test(key));
  for (let start = 0; start < plain.length; start += deleteBatch) {
    const batch = plain.slice(start, start + deleteBatch).map((key) => ({ Key: key }));
    await connection.call(options, async ({ client, library, bucket }, abortSignal) => {
      const command = new library.DeleteObjectsCommand({
        Bucket: bucket,
        Delete: { Objects: batch, Quiet: true },
      });
      const { Errors: errors } = await client.send(command, { abortSignal });
      const first = errors?.find((error) => error.Code !== 'NoSuchKey');
      if (first === undefined) return;
      const refused = ['AccessDenied', 'MethodNotAllowed'].includes(first.Code ?? '');
      throw new S3Failure({
        code: first.Code ?? 'Unknown',
        message: first.Message ?? 'a key was not removed',
        status: refused ? 403 : 500,
      });
    });
  }
  for (const key of keys) if (unwritable.test(key)) await deleteObject(connection, key, options);
}
