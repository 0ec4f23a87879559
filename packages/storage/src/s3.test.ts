import { afterAll, beforeAll, describe } from 'vitest';
import { describeStorageConformance } from './conformance.ts';
import { CephBench } from './s3/testing/ceph-bench.ts';
import { describeAccess } from './s3/testing/describe-access.ts';
import { describeCdn } from './s3/testing/describe-cdn.ts';
import { describeFaults } from './s3/testing/describe-faults.ts';
import { describeIntegrity } from './s3/testing/describe-integrity.ts';
import { describeLayout } from './s3/testing/describe-layout.ts';
import { describeUpkeep } from './s3/testing/describe-upkeep.ts';

let bench: CephBench | undefined;

function requireBench(): CephBench {
  if (bench === undefined) throw new Error('Ceph was not started.');
  return bench;
}

beforeAll(async () => {
  bench = await CephBench.start();
}, 180_000);
afterAll(async () => {
  await bench?.[Symbol.asyncDispose]();
});

// One Ceph serves all of this: it takes 20 seconds to start.
describe('s3: access', () => describeAccess(requireBench));
describe('s3: layout', () => describeLayout(requireBench));
describe('s3: upkeep', () => describeUpkeep(requireBench));
describe('s3: CDN', () => describeCdn(requireBench));
describe('s3: integrity', () => describeIntegrity(requireBench));
describe('s3: faults', () => describeFaults(requireBench));

describeStorageConformance(
  's3 on Ceph',
  async () => {
    const bucket = await requireBench().bucket({ prefix: 'below/a prefix' });
    const keyOf = (path: string): string => `below/a prefix${path}`;
    return {
      backend: bucket.backend,
      seed: (folder, names) =>
        requireBench().seed(
          bucket,
          names.map((name) => keyOf(`${folder}/${name}`)),
        ),
      hooks: { tamper: (path, bytes) => bucket.put(keyOf(path), bytes) },
      dispose: async () => {},
    };
  },
  { tampering: true },
);
