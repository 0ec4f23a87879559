import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import type { CephServer } from '@holdfast/test-support/ceph';
import { describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, sampleBytes } from '../../conformance/sample-bytes.ts';
import { refusal } from '../../conformance/subject.ts';
import type { S3Bench } from './s3-bench.ts';

const path = parseBackendPath('/file');
const bytes = sampleBytes(100);

/** Users with fewer rights than the owner of a bucket, by policies and quotas as Ceph has them. */
export function describeGrants(bench: () => S3Bench<CephServer>): void {
  describe('refuses to write', () => {
    it('with a key that may only read', async () => {
      const bucket = await bench().bucket();
      await bucket.backend.write(path, chunksOf(bytes));
      const reader = await bench().server.createUser(`reader-of-${bucket.config.bucket}`);
      await bench().admin.send(
        new PutBucketPolicyCommand({
          Bucket: bucket.config.bucket,
          Policy: JSON.stringify({
            Version: '2012-10-17',
            Statement: [
              {
                Effect: 'Allow',
                Principal: { AWS: [`arn:aws:iam:::user/reader-of-${bucket.config.bucket}`] },
                Action: ['s3:GetObject', 's3:ListBucket'],
                Resource: [`arn:aws:s3:::${bucket.config.bucket}`, `arn:aws:s3:::${bucket.config.bucket}/*`],
              },
            ],
          }),
        }),
      );
      const backend = bucket.other({
        access_key_id: reader.accessKeyId,
        secret_access_key: reader.secretAccessKey,
      });
      expect(await bytesAt(backend, path)).toEqual(bytes);
      await refusal(backend.write(path, chunksOf(sampleBytes(5))), 'read_only');
      await refusal(backend.write(path, chunksOf(sampleBytes(9 * 1024 ** 2))), 'read_only');
      await refusal(backend.makeFolder(parseBackendPath('/folder')), 'read_only');
      await refusal(backend.remove(path), 'read_only');
      const failed = (await backend.probe()).checks.find((check) => !check.ok);
      expect(failed?.name).toBe('write');
      expect(await bytesAt(bucket.backend, path)).toEqual(bytes);
    }, 60_000);

    it('beyond the quota, and tells that the storage is full', async () => {
      const user = await bench().server.createUser('small', 1024 ** 2);
      const bucket = await bench().bucket({
        access_key_id: user.accessKeyId,
        secret_access_key: user.secretAccessKey,
      });
      await bucket.backend.write(path, chunksOf(bytes));
      for (const size of [5, 20]) {
        await refusal(bucket.backend.write(path, chunksOf(sampleBytes(size * 1024 ** 2))), 'storage_full');
      }
      expect(await bytesAt(bucket.backend, path)).toEqual(bytes);
      expect(await bucket.uploads()).toEqual([]);
    }, 60_000);
  });
}
