import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { bytesAt, chunksOf, sampleBytes } from '@holdfast/storage/conformance/sample-bytes';
import { refusal } from '@holdfast/storage/conformance/subject';
import { describeAccess } from '@holdfast/storage/s3/testing/describe-access';
import { describeFaults } from '@holdfast/storage/s3/testing/describe-faults';
import { describeIntegrity } from '@holdfast/storage/s3/testing/describe-integrity';
import { describeLayout } from '@holdfast/storage/s3/testing/describe-layout';
import { describeS3Conformance } from '@holdfast/storage/s3/testing/describe-s3-conformance';
import { describeUpkeep } from '@holdfast/storage/s3/testing/describe-upkeep';
import { S3Bench } from '@holdfast/storage/s3/testing/s3-bench';
import { startSwift } from '../support/swift.ts';

const swift = { conditionalWrites: false, tellsUnknownKeys: false };
let bench: S3Bench | undefined;

function requireBench(): S3Bench {
  if (bench === undefined) throw new Error('Swift was not started.');
  return bench;
}

beforeAll(async () => {
  bench = new S3Bench(await startSwift());
});
afterAll(async () => {
  await bench?.[Symbol.asyncDispose]();
});

describe('s3 on Swift: access', () => describeAccess(requireBench, swift));
describe('s3 on Swift: layout', () => describeLayout(requireBench));
describe('s3 on Swift: upkeep', () => describeUpkeep(requireBench));
describe('s3 on Swift: integrity', () => describeIntegrity(requireBench));
describe('s3 on Swift: faults', () => describeFaults(requireBench));
describeS3Conformance('s3 on Swift', requireBench);

const mebibyte = 1024 ** 2;
const path = parseBackendPath('/file');

/** Makes an empty object by Swift's own API, also where S3 has no name for it. */
async function putByOwnApi(object: string): Promise<void> {
  const { url, accessKeyId, secretAccessKey } = requireBench().server;
  const login = await fetch(`${url}/auth/v1.0`, {
    headers: { 'x-auth-user': accessKeyId, 'x-auth-key': secretAccessKey },
  });
  const token = login.headers.get('x-auth-token') ?? '';
  const account = login.headers.get('x-storage-url') ?? '';
  const put = await fetch(`${account}/${object}`, { method: 'PUT', headers: { 'x-auth-token': token } });
  expect(put.status).toBe(201);
}

it('keeps a file whose upload the server has not forgotten, because it died just then', async () => {
  const bucket = await requireBench().bucket();
  const bytes = sampleBytes(17 * mebibyte, 4);
  let record: string | undefined;
  async function* source(): AsyncGenerator<Uint8Array> {
    yield* chunksOf(bytes, mebibyte);
    const [key] = (await bucket.keys()).filter((name) => name.endsWith('.intent'));
    record = (await bucket.get(key ?? 'no record')).toString();
  }
  const expectedSha256 = sha256Hex(bytes);
  await bucket.backend.write(path, source(), { expectedSize: bytes.byteLength, expectedSha256 });
  const [, uploadId] = /"upload_id":"([^"]+)"/.exec(record ?? '') ?? [];
  if (uploadId === undefined) throw new Error('The write has left no record of its upload.');
  await putByOwnApi(`${bucket.config.bucket}%2Bsegments/file/${uploadId}`);
  await bucket.put(`.holdfast/staging/hub-1.${randomUUID()}.intent`, record ?? '');
  expect(await bucket.uploads()).toEqual(['file']);

  await bucket.backend.sweep();
  expect((await bytesAt(bucket.backend, path)).equals(bytes)).toBe(true);
  expect(await bucket.keys()).toEqual(['file']);
});

it('says so when a file has more parts than the server takes, and leaves nothing behind', async () => {
  await using small = new S3Bench(await startSwift({ maxParts: 2 }));
  const bucket = await small.bucket();
  await bucket.backend.write(path, chunksOf(sampleBytes(16 * mebibyte)));
  const error = await refusal(bucket.backend.write(path, chunksOf(sampleBytes(33 * mebibyte))), 'too_large');
  expect(error.message).toContain('max_upload_part_num');
  expect((await bucket.backend.stat(path)).size).toBe(16 * mebibyte);
  expect(await bucket.uploads()).toEqual([]);
  expect(await bucket.keys()).toEqual(['file']);
});
