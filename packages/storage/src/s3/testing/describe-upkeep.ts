import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { randomUUID } from 'node:crypto';
import { CreateMultipartUploadCommand } from '@aws-sdk/client-s3';
import { expect, it } from 'vitest';
import { chunksOf, sampleBytes } from '../../conformance/sample-bytes.ts';
import { refusal } from '../../conformance/subject.ts';
import { Bucket } from '../bucket.ts';
import { parseS3Config } from '../config.ts';
import { Connection } from '../connection.ts';
import { sweepStaging } from '../sweeping.ts';
import type { S3Bench, TestBucket } from './s3-bench.ts';

const dayMs = 24 * 60 * 60 * 1000;

/** What `sweep` removes, and what failed writes leave. */
export function describeUpkeep(bench: () => S3Bench): void {
  /** What a crash of a hub leaves: an upload with its record, a staged object, an upload to the staging area. */
  async function plantLeftovers(bucket: TestBucket, owner: string): Promise<void> {
    const begin = async (key: string): Promise<string> => {
      const command = new CreateMultipartUploadCommand({ Bucket: bucket.config.bucket, Key: key });
      return (await bench().admin.send(command)).UploadId ?? '';
    };
    const uploadId = await begin(`target-of-${owner}`);
    const record = { owner_id: owner, key: `target-of-${owner}`, upload_id: uploadId };
    await bucket.put(`.holdfast/staging/${owner}.${randomUUID()}.intent`, JSON.stringify(record));
    await bucket.put(`.holdfast/staging/${owner}.${randomUUID()}.tmp`, 'staged');
    await begin(`.holdfast/staging/${owner}.${randomUUID()}.tmp`);
  }

  it('sweeps what this owner left, and leaves others and foreign uploads alone', async () => {
    const bucket = await bench().bucket();
    await plantLeftovers(bucket, 'hub-1');
    await plantLeftovers(bucket, 'hub-2');
    await bucket.put('.holdfast/staging/somebody-else', 'x');
    const foreign = new CreateMultipartUploadCommand({ Bucket: bucket.config.bucket, Key: 'foreign' });
    await bench().admin.send(foreign);
    expect(await bucket.backend.sweep()).toEqual({ removed: 3, bytes: 6 });
    expect((await bucket.uploads()).toSorted()).toEqual([
      expect.stringMatching(/^\.holdfast\/staging\/hub-2\./),
      'foreign',
      'target-of-hub-2',
    ]);
    expect(await bucket.keys()).toHaveLength(3);
    expect(await bucket.backend.sweep()).toEqual({ removed: 0, bytes: 0 });
  });

  it('sweeps what is older than a day, whoever left it', async () => {
    const bucket = await bench().bucket();
    await plantLeftovers(bucket, 'hub-2');
    await using connection = new Connection(parseS3Config(bucket.config), 30_000);
    const raw = new Bucket(connection, bucket.volumeId, 'hub-1');
    expect(await sweepStaging(raw, Date.now() + dayMs - 60_000)).toEqual({ removed: 0, bytes: 0 });
    expect(await sweepStaging(raw, Date.now() + dayMs + 60_000)).toEqual({ removed: 3, bytes: 6 });
    expect(await bucket.uploads()).toEqual([]);
    expect(await bucket.keys()).toEqual([]);
  });

  it('does not abort the upload of a file that is there: some servers take its bytes away then', async () => {
    const bucket = await bench().bucket();
    const bytes = sampleBytes(9 * 1024 ** 2, 3);
    await bucket.backend.write(parseBackendPath('/file'), chunksOf(bytes));
    const { 'holdfast-write': write_id } = await bucket.metadata('file');
    const begin = new CreateMultipartUploadCommand({ Bucket: bucket.config.bucket, Key: 'file' });
    const { UploadId: upload_id } = await bench().admin.send(begin);
    const record = { owner_id: 'hub-1', key: 'file', upload_id, write_id };
    await bucket.put(`.holdfast/staging/hub-1.${randomUUID()}.intent`, JSON.stringify(record));
    expect(await bucket.backend.sweep()).toEqual({ removed: 0, bytes: 0 });
    expect(await bucket.uploads()).toEqual(['file']);
    expect(await bucket.keys()).toEqual(['file']);
  });

  it('does not abort what a record names outside of its prefix', async () => {
    const bucket = await bench().bucket({ prefix: 'p' });
    const command = new CreateMultipartUploadCommand({ Bucket: bucket.config.bucket, Key: 'outside' });
    const { UploadId: uploadId } = await bench().admin.send(command);
    const record = { owner_id: 'hub-1', key: 'outside', upload_id: uploadId };
    await bucket.put(`p/.holdfast/staging/hub-1.${randomUUID()}.intent`, JSON.stringify(record));
    await bucket.backend.sweep();
    expect(await bucket.uploads()).toEqual(['outside']);
  });

  it('leaves nothing behind a large write that fails', async () => {
    const bucket = await bench().bucket();
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* chunksOf(sampleBytes(20 * 1024 ** 2));
      throw new Error('the sender has gone');
    }
    const path = parseBackendPath('/file');
    await expect(bucket.backend.write(path, source())).rejects.toThrow('the sender has gone');
    const expectedSha256 = '0'.repeat(64);
    const write = bucket.backend.write(path, chunksOf(sampleBytes(20 * 1024 ** 2)), { expectedSha256 });
    await refusal(write, 'checksum_mismatch');
    expect(await bucket.uploads()).toEqual([]);
    expect(await bucket.keys()).toEqual([]);
  });
}
