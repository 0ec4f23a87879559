import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { expect, it } from 'vitest';
import { bytesAt, chunksOf, readAll, sampleBytes } from '../conformance/sample-bytes.ts';
import { makeTestShare } from './testing/test-share.ts';

/** Bytes of a request that renews the lease and does nothing else; three of them are sent in a lease. */
const renewalBytes = 100;

it('a file that is open and idle for several leases stays open at the server, though it was replaced meanwhile', async () => {
  await using share = await makeTestShare({ leaseSeconds: 3 });
  const path = parseBackendPath('/file');
  const [before, after] = [sampleBytes(100_000, 1), sampleBytes(100_000, 2)];
  await share.backend.write(path, chunksOf(before));
  await using opened = await share.backend.open(path);
  await share.backend.write(path, chunksOf(after));
  await share.proxy.passed('toServer', share.proxy.bytes.toServer + 7 * renewalBytes);
  // The server keeps a replaced file as long as it is open; without its lease it would be gone.
  expect((await readAll(opened)).equals(before)).toBe(true);
  expect((await bytesAt(share.backend, path)).equals(after)).toBe(true);
});
