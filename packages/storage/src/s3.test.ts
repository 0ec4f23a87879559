import { startCeph } from '@holdfast/test-support/ceph';
import type { CephServer } from '@holdfast/test-support/ceph';
import { afterAll, beforeAll, describe } from 'vitest';
import { describeAccess } from './s3/testing/describe-access.ts';
import { describeCdn } from './s3/testing/describe-cdn.ts';
import { describeS3Conformance } from './s3/testing/describe-s3-conformance.ts';
import { describeContentFaults } from './s3/testing/describe-content-faults.ts';
import { describeContents } from './s3/testing/describe-contents.ts';
import { describeFaults } from './s3/testing/describe-faults.ts';
import { describeGrants } from './s3/testing/describe-grants.ts';
import { describeIntegrity } from './s3/testing/describe-integrity.ts';
import { describeLayout } from './s3/testing/describe-layout.ts';
import { describeUpkeep } from './s3/testing/describe-upkeep.ts';
import { S3Bench } from './s3/testing/s3-bench.ts';

const ceph = { conditionalWrites: true, tellsUnknownKeys: true };
let bench: S3Bench<CephServer> | undefined;

function requireBench(): S3Bench<CephServer> {
  if (bench === undefined) throw new Error('Ceph was not started.');
  return bench;
}

beforeAll(async () => {
  bench = new S3Bench(await startCeph());
}, 180_000);
afterAll(async () => {
  await bench?.[Symbol.asyncDispose]();
});

// One Ceph serves all of this: it takes 20 seconds to start.
describe('s3: access', () => describeAccess(requireBench, ceph));
describe('s3: grants', () => describeGrants(requireBench));
describe('s3: layout', () => describeLayout(requireBench));
describe('s3: upkeep', () => describeUpkeep(requireBench));
describe('s3: CDN', () => describeCdn(requireBench));
describe('s3: integrity', () => describeIntegrity(requireBench));
describe('s3: faults', () => describeFaults(requireBench));
describe('s3: contents', () => describeContents(requireBench));
describe('s3: faults of uploads', () => describeContentFaults(requireBench));

describeS3Conformance('s3 on Ceph', requireBench);
