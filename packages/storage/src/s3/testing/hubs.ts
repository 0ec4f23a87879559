import { sha256Hex } from '@holdfast/bytes/sha256';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { afterEach, expect } from 'vitest';
import { readAll } from '../../conformance/sample-bytes.ts';
import { TestUpload } from '../../conformance/staged-upload.ts';
import type { ContentArea, StagedUploadKey } from '../../contents.ts';
import type { S3BackendOptions } from '../../s3.ts';
import type { S3Bench, TestBucket } from './s3-bench.ts';

let resources = new AsyncDisposableStack();

/** Ends the hubs of each test with it. To be called where the tests are described. */
export function endHubsWithTests(): void {
  afterEach(async () => {
    await resources.disposeAsync();
    resources = new AsyncDisposableStack();
  });
}

/** A bucket, and hubs on it, each with a spool of its own. */
export interface Hubs {
  bucket: TestBucket;
  spoolOf(name: string): string;
  /** A hub; the same name once more is the same hub after a restart. */
  hub(name: string, options?: Partial<S3BackendOptions>): ContentArea & AsyncDisposable;
}

/** Makes a bucket of its own, and spools for hubs on it. */
export async function hubsOn(bench: S3Bench): Promise<Hubs> {
  const bucket = await bench.bucket();
  const spools = resources.use(await makeTempDir('spool'));
  return {
    bucket,
    spoolOf: (name) => spools.join(name),
    hub: (name, options = {}) => {
      const backend = bucket.other({ ownerId: name, spoolDir: spools.join(name), ...options });
      resources.use(backend);
      if (backend.contents === undefined) throw new Error('The backend has no contents.');
      return { ...backend.contents, [Symbol.asyncDispose]: () => backend[Symbol.asyncDispose]() };
    },
  };
}

/** Begins an upload. */
export async function begin(area: ContentArea, upload: Omit<StagedUploadKey, 'state'>): Promise<TestUpload> {
  const key = { ...upload, state: await area.staging.create(upload) };
  return new TestUpload(area, key, await area.staging.resume(key));
}

/** The same upload at another hub, or after a restart. */
export async function at(area: ContentArea, upload: TestUpload): Promise<TestUpload> {
  const other = new TestUpload(area, upload.key, await area.staging.resume(upload.key));
  for (const { position, bytes, receipt } of upload.pieces) {
    other.note(position, receipt === null ? { bytes } : { bytes, receipt });
  }
  return other;
}

/** Sends all chunks from one position to another. */
export async function sendChunks(upload: TestUpload, bytes: Buffer, from: number, to: number): Promise<void> {
  const chunkSize = upload.key.chunkSize ?? bytes.byteLength;
  for (let start = from; start < to; start += chunkSize) {
    await upload.send(bytes, start, Math.min(start + chunkSize, to));
  }
}

/** Seals, publishes and discards, and shows that the vault has these bytes, and nothing else is left of them. */
export async function expectPublished(hubs: Hubs, upload: TestUpload, bytes: Buffer): Promise<void> {
  const sha256 = sha256Hex(bytes);
  const size = bytes.byteLength;
  expect(await upload.seal(size)).toBe(sha256);
  expect(await upload.upload.publish(sha256, size)).toEqual({ stored: true });
  await upload.upload.discard();
  await using file = await upload.area.open(sha256);
  expect((await readAll(file)).equals(bytes)).toBe(true);
  expect(await hubs.bucket.keys()).toEqual([`.holdfast/vault/${sha256.slice(0, 2)}/${sha256}`]);
  expect(await hubs.bucket.uploads()).toEqual([]);
  expect(await upload.area.staging.list()).toEqual([]);
}
