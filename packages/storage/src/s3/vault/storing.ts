import { requireNotMore, requireSha256, requireSize } from '@holdfast/bytes/announced-bytes';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { randomUUID } from 'node:crypto';
import type { SmallContent, StoreContentOptions, StoreContentResult } from '../../contents.ts';
import { StagingSlot } from '../../volume/staging-slot.ts';
import type { Bucket } from '../bucket.ts';
import type { CallOptions } from '../connection.ts';
import { S3Failure } from '../failure.ts';
import { MultipartUpload } from '../multipart.ts';
import { isFromWrite, SHA256, WRITE_ID } from '../object-metadata.ts';
import { deleteObject, headObject, putObject } from '../objects.ts';
import { PartBuffers } from '../part-buffers.ts';
import { PartGatherer } from '../part-gatherer.ts';
import type { GatheredPart } from '../part-gatherer.ts';
import { PART_BYTES, PartPlan } from '../part-plan.ts';
import { copyIntoVault, findContent } from '../staging/publishing.ts';
import { contentKey } from './content-key.ts';

const label = 'The content';

/**
 * Stores a source in the vault: up to 8 MiB by one request, more by a multipart upload to the staging area, from where
 * the server copies it once its SHA-256 is known.
 */
export async function storeContent(
  bucket: Bucket,
  source: AsyncIterable<Uint8Array>,
  options: StoreContentOptions,
): Promise<StoreContentResult> {
  const doing = 'Storing a content';
  const stop = new AbortController();
  const signal = AbortSignal.any([bucket.connection.signalFor(options.signal), stop.signal]);
  throwIfCancelled(signal, doing);
  const call = { doing, signal, patience: 'long' } as const;
  return bucket.run(doing, 'write', signal, async () => {
    await bucket.requireMarker(call);
    await using gatherer = new PartGatherer(source, signal, doing);
    const check = (bytes: number): void => requireNotMore(label, options, bytes);
    const first = await gatherer.fill(PART_BYTES, check);
    const isSmall = first.bytes.byteLength < PART_BYTES || !(await gatherer.hasMore());
    const stored = isSmall
      ? await storeSmall(bucket, gatherer, first, options, call)
      : await storeLarge(bucket, gatherer, first, options, { call, signal, stop, check });
    return { sha256: gatherer.digest.hex(), size: gatherer.digest.bytes, stored };
  });
}

async function storeSmall(
  bucket: Bucket,
  { digest }: PartGatherer,
  { bytes, sha256 }: GatheredPart,
  options: StoreContentOptions,
  call: CallOptions,
): Promise<boolean> {
  requireSize(label, options, digest.bytes);
  requireSha256(label, options, digest.hex());
  return putContent(bucket, { bytes, sha256 }, call);
}

async function storeLarge(
  bucket: Bucket,
  gatherer: PartGatherer,
  first: GatheredPart,
  options: StoreContentOptions,
  work: {
    call: CallOptions;
    signal: AbortSignal;
    stop: AbortController;
    check: (bytes: number) => void;
  },
): Promise<boolean> {
  const { call, signal, stop, check } = work;
  const { digest } = gatherer;
  const { doing } = call;
  check(digest.bytes + 1);
  using slot = new StagingSlot(bucket.ownerId);
  const key = bucket.keys.staging + slot.tempName;
  const writeId = randomUUID();
  const buffers = new PartBuffers();
  buffers.adopt();
  const metadata = { [WRITE_ID]: writeId };
  const plan = new PartPlan(options.expectedSize);
  const recordName = slot.intentName;
  const begin = { bucket, key, metadata, recordName, plan, doing, signal, stop };
  const upload = await MultipartUpload.begin(begin, buffers);
  try {
    await upload.sendAll(first, undefined, gatherer, check);
    requireSize(label, options, digest.bytes);
    requireSha256(label, options, digest.hex());
    await upload.complete(false, () => isFromWrite(bucket.connection, key, writeId, call));
  } catch (error) {
    await upload.abort(error);
    throw error;
  }
  let cause: unknown;
  try {
    return await copyIntoVault(bucket, key, { sha256: digest.hex(), size: digest.bytes }, call);
  } catch (error) {
    cause = error;
    throw error;
  } finally {
    await bucket.cleanUp(`The staged object ${key}`, cause, (patience) =>
      deleteObject(bucket.connection, key, { doing, patience }),
    );
  }
}

/** Puts a content of one buffer in its place. @returns false when it was there */
export async function putContent(
  bucket: Bucket,
  { bytes, sha256 }: SmallContent,
  call: CallOptions,
): Promise<boolean> {
  const { connection } = bucket;
  const key = contentKey(bucket, sha256);
  const isThere = async (): Promise<true | undefined> =>
    (await findContent(bucket, sha256, bytes.byteLength, call)) === undefined ? undefined : true;
  const there = await headObject(connection, key, call);
  if (there !== undefined && (await isThere()) === true) return false;
  const metadata = { [SHA256]: sha256, [WRITE_ID]: randomUUID() };
  try {
    const put = { metadata, ifAbsent: there === undefined };
    await putObject(connection, key, bytes, sha256, put, call, isThere);
    return true;
  } catch (error) {
    if (!(error instanceof S3Failure) || !error.isPrecondition || (await isThere()) !== true) throw error;
    return false;
  }
}
