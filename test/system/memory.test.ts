import { readdir } from 'node:fs/promises';
import { success } from '@holdfast/contract/envelope';
import { storageFile } from '@holdfast/contract/files';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHub, type HubUnderTest } from '../support/hub.ts';
import { bootBackend, uploadStream } from '../support/hub-storage.ts';
import { openResponse } from '../support/open-response.ts';
import { HashedSource, RandomContent } from '../support/random-file.ts';
import { peakMemory, resetPeakMemory } from '../support/rss.ts';

const mebibyte = 1024 * 1024;
const limit = 250 * mebibyte;
const readers = 50;
const content = new RandomContent('memory', 8 * 1024 * mebibyte);

/** The design's promise 3: memory is bounded by active transfers times a fixed buffer, whatever the file sizes. */
describe('the resident memory of the hub', () => {
  const resources = new AsyncDisposableStack();
  let hub: HubUnderTest;
  let backend: { id: string; root: string };

  beforeAll(async () => {
    hub = resources.use(await startHub());
    backend = await bootBackend(hub);
  });

  afterAll(() => resources.disposeAsync());

  it('stays under 250 MiB while 8 GiB come in by one request', { timeout: 180_000 }, async () => {
    await resetPeakMemory(hub.pid);
    const source = new HashedSource(content.pieces());
    const answer = await uploadStream(hub, backend.id, '/large.bin', source.stream(), content.size);
    expect(answer, answer.body).toMatchObject({ status: 201 });
    const parsed: unknown = JSON.parse(answer.body);
    const { data } = success(storageFile).parse(parsed);
    expect(data).toMatchObject({ path: '/large.bin', size: content.size, checksum_sha256: source.sha256() });

    const peak = await peakMemory(hub.pid);
    console.info(`peak while receiving: ${Math.round(peak / mebibyte)} MiB`);
    expect(peak).toBeLessThan(limit);
    expect(await readdir(backend.root)).toContain('large.bin');
  });

  it(
    'stays under 250 MiB while 50 readers take ranges of the 8 GiB side by side',
    { timeout: 180_000 },
    async () => {
      await resetPeakMemory(hub.pid);
      const share = Math.ceil(content.size / readers);
      const starts = Array.from({ length: readers }, (_, index) => index * share);
      await Promise.all(starts.map((start) => readRange(hub, start, Math.min(start + share, content.size))));

      const peak = await peakMemory(hub.pid);
      console.info(`peak while sending: ${Math.round(peak / mebibyte)} MiB`);
      expect(peak).toBeLessThan(limit);
    },
  );
});

/** Takes a half-open range and compares every byte. */
async function readRange(hub: HubUnderTest, start: number, end: number): Promise<void> {
  const response = await openResponse(`${hub.url}/api/v1/files/large.bin`, {
    range: `bytes=${start}-${end - 1}`,
  });
  expect(response.statusCode).toBe(206);
  expect(response.headers['content-range']).toBe(`bytes ${start}-${end - 1}/${content.size}`);
  const check = content.checker(start);
  let received = 0;
  let intact = true;
  const body: AsyncIterable<Buffer> = response;
  for await (const chunk of body) {
    intact &&= check(chunk);
    received += chunk.length;
  }
  expect({ received, intact }).toEqual({ received: end - start, intact: true });
}
