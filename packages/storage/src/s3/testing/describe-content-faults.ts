import { sha256Hex } from '@holdfast/bytes/sha256';
import { RandomContent } from '@holdfast/test-support/random-file';
import { describe, expect, it } from 'vitest';
import { sampleBytes } from '../../conformance/sample-bytes.ts';
import { TestUpload } from '../../conformance/staged-upload.ts';
import { refusal } from '../../conformance/subject.ts';
import { at, begin, endHubsWithTests, expectPublished, hubsOn, sendChunks } from './hubs.ts';
import type { S3Bench } from './s3-bench.ts';
import { killedUpload, memoryOfUpload } from './upload-process.ts';

const MIB = 1024 ** 2;

/** Uploads when the server, the network or the hub itself fails. */
export function describeContentFaults(bench: () => S3Bench): void {
  endHubsWithTests();

  describe('when the server is killed', () => {
    const bytes = sampleBytes(24 * MIB, 6);
    const size = bytes.byteLength;

    it('in the middle of a part and is back, the part goes on, and so does the seal', async () => {
      const hubs = await hubsOn(bench());
      const { server } = bench();
      const upload = await begin(hubs.hub('hub-1'), { id: 'd', size, chunkSize: 8 * MIB });
      await sendChunks(upload, bytes, 0, 16 * MIB);
      const restarted = server.kill().then(() => server.restart());
      await upload.send(bytes, 16 * MIB);
      await restarted;
      const restartedAgain = server.kill().then(() => server.restart());
      expect(await upload.seal(size)).toBe(sha256Hex(bytes));
      await restartedAgain;
      await expectPublished(hubs, upload, bytes);
    }, 120_000);

    it('and stays away, a chunk fails clearly, and what was acknowledged is there later', async () => {
      const hubs = await hubsOn(bench());
      const { server } = bench();
      const area = hubs.hub('hub-1', { timeoutMs: 500 });
      const upload = await begin(area, { id: 'd', size, chunkSize: 8 * MIB });
      await sendChunks(upload, bytes, 0, 8 * MIB);
      await server.kill();
      const error = await refusal(upload.send(bytes, 8 * MIB, 16 * MIB), 'backend_unavailable');
      expect(error.retryable).toBe(true);
      await refusal(upload.seal(size), 'chunks_missing');
      await server.restart();
      await sendChunks(upload, bytes, 8 * MIB, size);
      await expectPublished(hubs, upload, bytes);
    }, 120_000);

    it('and stays away, small chunks are taken all the same, and sent when it is back', async () => {
      const hubs = await hubsOn(bench());
      const { server } = bench();
      const area = hubs.hub('hub-1', { timeoutMs: 500 });
      const upload = await begin(area, { id: 'd', size, chunkSize: 4 * MIB });
      await server.kill();
      await sendChunks(upload, bytes, 0, size);
      await refusal(upload.seal(size), 'backend_unavailable');
      await server.restart();
      await expectPublished(hubs, upload, bytes);
    }, 120_000);
  });

  describe('behind a network that changes bytes', () => {
    it('chunks are caught on their way to the server, and sent again', async () => {
      const hubs = await hubsOn(bench());
      const proxy = await bench().proxy();
      const area = hubs.hub('hub-1', { endpoint: `http://127.0.0.1:${proxy.listenPort}` });
      const bytes = sampleBytes(18 * MIB, 7);
      const upload = await begin(area, { id: 'e', size: bytes.byteLength, chunkSize: 6 * MIB });
      for (let start = 0; start < bytes.byteLength; start += 6 * MIB) {
        const flipped = proxy.flipByte({ direction: 'toServer', afterBytes: 3 * MIB });
        await upload.send(bytes, start, start + 6 * MIB);
        await flipped;
      }
      await expectPublished(hubs, upload, bytes);
    }, 60_000);

    it('small chunks are caught too, when they are sent', async () => {
      const hubs = await hubsOn(bench());
      const proxy = await bench().proxy();
      const area = hubs.hub('hub-1', { endpoint: `http://127.0.0.1:${proxy.listenPort}` });
      const bytes = sampleBytes(9 * MIB, 8);
      const upload = await begin(area, { id: 'e', size: bytes.byteLength, chunkSize: MIB });
      const flipped = proxy.flipByte({ direction: 'toServer', afterBytes: 2 * MIB });
      await sendChunks(upload, bytes, 0, bytes.byteLength);
      await upload.seal(bytes.byteLength);
      await flipped;
      await expectPublished(hubs, upload, bytes);
    }, 60_000);

    it('answers never make an upload end with other bytes, or with a digest that is not theirs', async () => {
      const hubs = await hubsOn(bench());
      const proxy = await bench().proxy();
      const area = hubs.hub('hub-1', { endpoint: `http://127.0.0.1:${proxy.listenPort}` });
      const bytes = sampleBytes(10 * MIB, 9);
      for (const afterBytes of [0, 20, 60, 110, 160, 220, 300, 400]) {
        const upload = await begin(area, {
          id: `e-${afterBytes}`,
          size: bytes.byteLength,
          chunkSize: 5 * MIB,
        });
        await upload.send(bytes, 0, 5 * MIB);
        void proxy.flipByte({ direction: 'toClient', afterBytes });
        await upload.send(bytes, 5 * MIB);
        void proxy.flipByte({ direction: 'toClient', afterBytes });
        expect(await upload.seal(bytes.byteLength)).toBe(sha256Hex(bytes));
        await upload.upload.discard();
      }
    }, 120_000);

    it('what is read back to be hashed is read again when it was changed', async () => {
      const hubs = await hubsOn(bench());
      const proxy = await bench().proxy();
      const bytes = sampleBytes(10 * MIB, 10);
      const upload = await begin(hubs.hub('hub-1'), { id: 'e', size: bytes.byteLength, chunkSize: 5 * MIB });
      await sendChunks(upload, bytes, 0, bytes.byteLength);
      const other = hubs.hub('hub-2', { endpoint: `http://127.0.0.1:${proxy.listenPort}` });
      const flipped = proxy.flipByte({ direction: 'toClient', afterBytes: 7 * MIB });
      expect(await (await at(other, upload)).seal(bytes.byteLength)).toBe(sha256Hex(bytes));
      await flipped;
    }, 60_000);

    it('an answer that is lost loses no publication', async () => {
      const hubs = await hubsOn(bench());
      const proxy = await bench().proxy();
      const area = hubs.hub('hub-1', { endpoint: `http://127.0.0.1:${proxy.listenPort}` });
      const bytes = sampleBytes(10 * MIB, 11);
      const upload = await begin(area, { id: 'e', size: bytes.byteLength, chunkSize: 5 * MIB });
      await sendChunks(upload, bytes, 0, bytes.byteLength);
      const sha256 = await upload.seal(bytes.byteLength);
      for (const afterBytes of [0, 200, 500, 900, 1200]) {
        void proxy.flipByte({ direction: 'toClient', afterBytes });
        await upload.upload.publish(sha256, bytes.byteLength);
        expect((await hubs.bucket.get(`.holdfast/vault/${sha256.slice(0, 2)}/${sha256}`)).equals(bytes)).toBe(
          true,
        );
        expect(await upload.area.remove(sha256)).toBe(true);
        const again = await begin(area, {
          id: `e-${afterBytes}`,
          size: bytes.byteLength,
          chunkSize: 10 * MIB,
        });
        await again.send(bytes);
        await again.seal(bytes.byteLength);
        upload.upload = again.upload;
      }
    }, 60_000);
  });

  it.each([
    ['parts', 6 * MIB, 4],
    ['small chunks', MIB, 30],
  ])(
    'a hub that is killed among %s has kept every one that it has acknowledged',
    async (_what, chunkSize, pieces) => {
      const hubs = await hubsOn(bench());
      const { config, volumeId } = hubs.bucket;
      const content = new RandomContent('killed', 64 * MIB);
      const killed = await killedUpload(
        {
          backend: { ...config, volumeId, ownerId: 'hub-1', spoolDir: hubs.spoolOf('hub-1') },
          id: 'killed',
          size: content.size,
          chunkSize,
          parallel: 3,
        },
        pieces,
      );
      const area = hubs.hub('hub-1');
      const upload = new TestUpload(area, killed.key, await area.staging.resume(killed.key));
      for (const { position, bytes, receipt } of killed.acknowledged) {
        upload.note(position, receipt === undefined ? { bytes } : { bytes, receipt });
      }
      const done = new Set(killed.acknowledged.map(({ position }) => position));
      expect(done.size).toBeLessThan(content.size / chunkSize);
      const bytes = content.bytes();
      for (let start = 0; start < content.size; start += chunkSize) {
        if (!done.has(start)) await upload.send(bytes, start, Math.min(start + chunkSize, content.size));
      }
      await expectPublished(hubs, upload, bytes);
    },
    120_000,
  );

  it.each([
    ['parts', 8 * MIB],
    ['small chunks', MIB],
  ])(
    'holds little memory, however much is on its way in %s',
    async (_what, chunkSize) => {
      const hubs = await hubsOn(bench());
      const { config, volumeId } = hubs.bucket;
      const growth = await memoryOfUpload({
        backend: { ...config, volumeId, ownerId: 'hub-1', spoolDir: hubs.spoolOf('hub-1') },
        id: 'measured',
        size: 256 * MIB,
        chunkSize,
        parallel: 4,
      });
      // Two reads of 512 KiB for each request, and what is not collected yet; the upload has 256 MiB.
      expect(growth).toBeLessThan(160 * MIB);
    },
    120_000,
  );
}
