import { requireNotMore, requireSha256, requireSize } from '@holdfast/bytes/announced-bytes';
import { isRoot } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import type { StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import { randomUUID } from 'node:crypto';
import type { StorageEntry, WriteOptions, WriteResult } from '../backend.ts';
import { notAbsent, requirePublishable, requireWritable } from '../path-rules/publishing.ts';
import { isAFolder } from '../path-rules/refusals.ts';
import { StagingSlot } from '../volume/staging-slot.ts';
import { entryOrNull } from './bucket.ts';
import type { Bucket } from './bucket.ts';
import { copyObject } from './copying-objects.ts';
import { fileEntry } from './entry.ts';
import { S3Failure } from './failure.ts';
import { MultipartUpload } from './multipart.ts';
import { isFromWrite, SHA256, WRITE_ID } from './object-metadata.ts';
import { deleteObject, headObject, putObject } from './objects.ts';
import type { StoredObject } from './objects.ts';
import { PartBuffers } from './part-buffers.ts';
import { PartGatherer } from './part-gatherer.ts';
import type { GatheredPart } from './part-gatherer.ts';
import { PART_BYTES, PartPlan } from './part-plan.ts';

/** One write on its way. */
interface Write {
  bucket: Bucket;
  path: BackendPath;
  key: string;
  doing: string;
  options: WriteOptions;
  /** In the object's metadata, to know it again after a lost answer. */
  writeId: string;
  signal: AbortSignal;
  stop: AbortController;
}

/**
 * Stores a source under a path. Every request that carries bytes is signed with their SHA-256, so the server has
 * refused any other bytes; an object appears whole, in one step of the server.
 *
 * Up to 8 MiB go by one PutObject. More go by a multipart upload, whose metadata is fixed at its beginning: with
 * `expectedSha256` straight to the key, else to the staging area, from where the server copies the object to its key
 * once the SHA-256 is known. So every object carries its SHA-256 in its metadata.
 */
export async function writeFile(
  bucket: Bucket,
  path: BackendPath,
  source: AsyncIterable<Uint8Array>,
  options: WriteOptions,
): Promise<WriteResult> {
  if (isRoot(path)) throw isAFolder(path);
  const key = bucket.keys.ofFile(path);
  const doing = `Writing ${path}`;
  const stop = new AbortController();
  const signal = AbortSignal.any([bucket.connection.signalFor(options.signal), stop.signal]);
  throwIfCancelled(signal, doing);
  const write = { bucket, path, key, doing, options, writeId: randomUUID(), signal, stop };
  return bucket.run(doing, 'write', signal, async () => {
    await using gatherer = new PartGatherer(source, signal, doing);
    return await transfer(write, gatherer);
  });
}

async function transfer(write: Write, gatherer: PartGatherer): Promise<WriteResult> {
  const { expectedSize } = write.options;
  const plan = new PartPlan(expectedSize);
  const check = (bytes: number): void => requireNotMore(write.path, write.options, bytes);
  const buffers = new PartBuffers();
  if (expectedSize !== undefined && expectedSize > PART_BYTES) {
    const buffer = await buffers.take(plan.partBytes(1), plan.buffers(1));
    const first = await gatherer.fill(buffer, check).catch((error: unknown) => {
      buffers.give(buffer);
      throw error;
    });
    return writeLarge(write, gatherer, { plan, buffers, first, buffer, check });
  }
  const first = await gatherer.fill(PART_BYTES, check);
  if (first.bytes.byteLength < PART_BYTES || !(await gatherer.hasMore()))
    return writeSmall(write, gatherer, first);
  check(gatherer.digest.bytes + 1);
  buffers.adopt();
  return writeLarge(write, gatherer, { plan, buffers, first, buffer: undefined, check });
}

async function writeSmall(write: Write, gatherer: PartGatherer, part: GatheredPart): Promise<WriteResult> {
  requireAnnounced(write, gatherer.digest);
  return publish(write, gatherer.digest, async (ifAbsent, landed) => {
    const metadata = { [SHA256]: part.sha256, [WRITE_ID]: write.writeId };
    const { bucket, key } = write;
    await putObject(
      bucket.connection,
      key,
      part.bytes,
      part.sha256,
      { metadata, ifAbsent },
      callOf(write),
      landed,
    );
  });
}

interface LargeWrite {
  plan: PartPlan;
  buffers: PartBuffers;
  first: GatheredPart;
  buffer: Buffer | undefined;
  check: (bytes: number) => void;
}

async function writeLarge(write: Write, gatherer: PartGatherer, large: LargeWrite): Promise<WriteResult> {
  const { bucket, options } = write;
  // What can be refused is refused before a byte is sent.
  const found = entryOrNull(write.path, await bucket.findForWriting(write.path, callOf(write)));
  requireWritable(write.path, found?.type ?? null, options.ifAbsent);
  using slot = new StagingSlot(bucket.ownerId);
  const { expectedSha256 } = options;
  const stagingKey = expectedSha256 === undefined ? bucket.keys.staging + slot.tempName : undefined;
  const upload = await MultipartUpload.begin(
    {
      bucket,
      key: stagingKey ?? write.key,
      metadata: {
        ...(expectedSha256 === undefined ? {} : { [SHA256]: expectedSha256 }),
        [WRITE_ID]: write.writeId,
      },
      recordName: slot.intentName,
      plan: large.plan,
      doing: write.doing,
      signal: write.signal,
      stop: write.stop,
    },
    large.buffers,
  );
  try {
    await upload.sendAll(large.first, large.buffer, gatherer, large.check);
    requireAnnounced(write, gatherer.digest);
    if (stagingKey === undefined) {
      return await publish(write, gatherer.digest, (ifAbsent, landed) => upload.complete(ifAbsent, landed));
    }
    await upload.complete(false, () =>
      isFromWrite(bucket.connection, stagingKey, write.writeId, callOf(write)),
    );
  } catch (error) {
    await upload.abort(error);
    throw error;
  }
  return await publishStaged(write, gatherer.digest, stagingKey);
}

async function publishStaged(write: Write, digest: StreamDigest, stagingKey: string): Promise<WriteResult> {
  const { bucket, key, writeId, doing } = write;
  let cause: unknown;
  try {
    const source = await requireStored(write, stagingKey, digest.bytes);
    return await publish(write, digest, (ifAbsent, landed) => {
      const metadata = { [SHA256]: digest.hex(), [WRITE_ID]: writeId };
      const copy = { from: stagingKey, source, to: key, metadata, ifAbsent };
      return copyObject(bucket, copy, callOf(write), landed);
    });
  } catch (error) {
    cause = error;
    throw error;
  } finally {
    await bucket.cleanUp(`The staged object ${stagingKey}`, cause, (patience) =>
      deleteObject(bucket.connection, stagingKey, { doing, patience }),
    );
  }
}

/** Under the path's lock: looks at the path once more, asks the precondition, publishes, and tells what is there. */
async function publish(
  write: Write,
  digest: StreamDigest,
  put: (ifAbsent: boolean, landed: () => Promise<true | undefined>) => Promise<void>,
): Promise<WriteResult> {
  const { bucket, path, key, options, writeId, signal } = write;
  return bucket.locks.hold([path], async () => {
    const found = await bucket.findForWriting(path, callOf(write));
    await requirePublishable(path, entryOrNull(path, found), { ...options, signal });
    const landed = (): Promise<true | undefined> =>
      isFromWrite(bucket.connection, key, writeId, callOf(write));
    try {
      await put(options.ifAbsent === true, landed);
    } catch (error) {
      if (options.ifAbsent !== true || !(error instanceof S3Failure) || !error.isPrecondition) throw error;
      throw notAbsent(path, error);
    }
    const entry: StorageEntry = fileEntry(path, await requireStored(write, key, digest.bytes));
    return { entry, sha256: digest.hex(), replaced: found.object !== undefined };
  });
}

const storedLooks = 3;

/** The object that a write has made, by a look of its own: answers to writes do not tell its time. */
async function requireStored(write: Write, key: string, size: number): Promise<StoredObject> {
  for (let look = 1; ; look += 1) {
    const object = await headObject(write.bucket.connection, key, callOf(write));
    // Some servers keep no metadata; then the size has to do.
    const isOurs = object !== undefined && (object.metadata[WRITE_ID] ?? write.writeId) === write.writeId;
    if (isOurs && object.size === size) return object;
    // Another size under our own mark can only be a damaged answer: worth another look.
    if (isOurs && look < storedLooks) continue;
    const text = `${write.path} was replaced or removed by another client as soon as it was written. Look at it again.`;
    throw new HoldfastError('conflict', text, { retryable: true });
  }
}

function callOf(write: Write): { doing: string; signal: AbortSignal; patience: 'long' } {
  return { doing: write.doing, signal: write.signal, patience: 'long' };
}

function requireAnnounced({ path, options }: Write, digest: StreamDigest): void {
  requireSize(path, options, digest.bytes);
  requireSha256(path, options, digest.hex());
}
