import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { RandomContent } from '@holdfast/test-support/random-file';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { chunksOf, failingAfter, sampleBytes } from '../../conformance/sample-bytes.ts';
import { refusal } from '../../conformance/subject.ts';
import type { ReceivedPiece } from '../../contents.ts';
import { at, begin, endHubsWithTests, expectPublished, hubsOn, sendChunks } from './hubs.ts';
import type { Hubs } from './hubs.ts';
import type { S3Bench } from './s3-bench.ts';

const MIB = 1024 ** 2;

/** Contents, and uploads on their way to become one. */
export function describeContents(bench: () => S3Bench): void {
  endHubsWithTests();

  /** Of how many parts an object was joined: S3 tells it behind the hyphen of its ETag. */
  async function partsOf({ bucket }: Hubs, key: string): Promise<string | undefined> {
    const command = new HeadObjectCommand({ Bucket: bucket.config.bucket, Key: key });
    return (await bench().admin.send(command)).ETag?.replace(/^.*-|"$/g, '');
  }

  describe('chunks of 5 MiB and more', () => {
    const bytes = sampleBytes(13 * MIB);
    const size = bytes.byteLength;

    it('are parts as they are, in any order, and the whole is hashed while they come', async () => {
      const hubs = await hubsOn(bench());
      const upload = await begin(hubs.hub('hub-1'), { id: 'a', size, chunkSize: 5 * MIB });
      await sendChunks(upload, bytes, 10 * MIB, size);
      await sendChunks(upload, bytes, 0, 10 * MIB);
      expect(await upload.seal(size)).toBe(sha256Hex(bytes));
      expect(upload.upload.hashed).toBe(size);
      expect(await partsOf(hubs, '.holdfast/uploads/a')).toBe('3');
      await expectPublished(hubs, upload, bytes);
    });

    it('may come to different hubs, and any of them seals and publishes', async () => {
      const hubs = await hubsOn(bench());
      const first = await begin(hubs.hub('hub-1'), { id: 'a', size, chunkSize: 5 * MIB });
      await sendChunks(first, bytes, 0, 5 * MIB);
      const second = await at(hubs.hub('hub-2'), first);
      await sendChunks(second, bytes, 5 * MIB, 10 * MIB);
      const back = await at(first.area, second);
      await sendChunks(back, bytes, 10 * MIB, size);
      const third = await at(hubs.hub('hub-3'), back);
      await expectPublished(hubs, third, bytes);
    });

    it('can be sent again, before and after they are hashed', async () => {
      const hubs = await hubsOn(bench());
      const upload = await begin(hubs.hub('hub-1'), { id: 'a', size, chunkSize: 5 * MIB });
      await upload.upload.receive(5 * MIB, chunksOf(sampleBytes(5 * MIB, 9)), {});
      await sendChunks(upload, bytes, 0, size);
      await sendChunks(upload, bytes, 0, 10 * MIB);
      await expectPublished(hubs, upload, bytes);
    });

    it('are sealed though an ETag was damaged on its way to us', async () => {
      const hubs = await hubsOn(bench());
      const upload = await begin(hubs.hub('hub-1'), { id: 'a', size, chunkSize: 5 * MIB });
      await sendChunks(upload, bytes, 0, size);
      const damage = (piece: ReceivedPiece): ReceivedPiece => {
        return { ...piece, receipt: `${piece.receipt?.slice(0, 65)}${'0'.repeat(32)}` };
      };
      const pieces = upload.pieces.map((piece, index) => (index === 1 ? damage(piece) : piece));
      expect(await upload.upload.seal(size, pieces)).toEqual({ sha256: sha256Hex(bytes) });
      await upload.upload.discard();
    });

    it('go on after a restart of the hub, which reads back what it has not hashed', async () => {
      const hubs = await hubsOn(bench());
      const area = hubs.hub('hub-1');
      const upload = await begin(area, { id: 'a', size, chunkSize: 5 * MIB });
      await sendChunks(upload, bytes, 0, 5 * MIB);
      await area[Symbol.asyncDispose]();
      const again = await at(hubs.hub('hub-1'), upload);
      await sendChunks(again, bytes, 5 * MIB, size);
      await expectPublished(hubs, again, bytes);
    });

    it('are refused when they are not chunks of the plan', async () => {
      const hubs = await hubsOn(bench());
      const { upload } = await begin(hubs.hub('hub-1'), { id: 'a', size, chunkSize: 5 * MIB });
      await refusal(upload.receive(1, chunksOf(bytes.subarray(0, 100)), {}), 'validation_failed');
      await refusal(upload.receive(0, chunksOf(bytes), { length: size }), 'validation_failed');
      await upload.discard();
    });

    it('are told that the upload was given up', async () => {
      const hubs = await hubsOn(bench());
      const upload = await begin(hubs.hub('hub-1'), { id: 'a', size, chunkSize: 5 * MIB });
      const other = await at(hubs.hub('hub-2'), upload);
      await upload.upload.discard();
      await refusal(other.send(bytes, 0, 5 * MIB), 'file_not_found');
    });
  });

  describe('small chunks', () => {
    const chunkSize = 2 * MIB;
    const bytes = sampleBytes(20 * MIB + 5, 2);
    const size = bytes.byteLength;

    it('are gathered to parts of 8 MiB, and the whole is hashed while these are sent', async () => {
      const hubs = await hubsOn(bench());
      const upload = await begin(hubs.hub('hub-1'), { id: 'b', size, chunkSize });
      const starts = Array.from({ length: 11 }, (_, index) => index * chunkSize);
      await Promise.all(starts.map((start) => upload.send(bytes, start, Math.min(start + chunkSize, size))));
      expect(await upload.seal(size)).toBe(sha256Hex(bytes));
      expect(upload.upload.hashed).toBe(size);
      expect(await partsOf(hubs, '.holdfast/uploads/b')).toBe('3');
      await expectPublished(hubs, upload, bytes);
    });

    it('go on after a restart of the hub, and end verified', async () => {
      const hubs = await hubsOn(bench());
      const area = hubs.hub('hub-1');
      const upload = await begin(area, { id: 'b', size, chunkSize });
      await sendChunks(upload, bytes, 0, 12 * MIB);
      await area[Symbol.asyncDispose]();
      const again = await at(hubs.hub('hub-1'), upload);
      await sendChunks(again, bytes, 12 * MIB, size);
      await expectPublished(hubs, again, bytes);
    });

    it('belong to the hub that gathers them; another one can only give them up, or publish what is sealed', async () => {
      const hubs = await hubsOn(bench());
      const upload = await begin(hubs.hub('hub-1'), { id: 'b', size, chunkSize });
      await sendChunks(upload, bytes, 0, size);
      const other = await at(hubs.hub('hub-2'), upload);
      const error = await refusal(other.send(bytes, 0, chunkSize), 'backend_unavailable');
      expect(error.message).toMatch(/chunks of 5 MiB or more/);
      await refusal(other.seal(size), 'backend_unavailable');
      const sha256 = await upload.seal(size);
      expect(await other.upload.publish(sha256, size)).toEqual({ stored: true });
      const given = await begin(hubs.hub('hub-1'), { id: 'c', size, chunkSize });
      await (await at(other.area, given)).upload.discard();
      expect(await hubs.bucket.uploads()).toEqual([]);
    });

    it('that are with S3 can be repeated as they were, and not otherwise', async () => {
      const hubs = await hubsOn(bench());
      const area = hubs.hub('hub-1');
      const upload = await begin(area, { id: 'b', size: 8 * MIB, chunkSize });
      const whole = bytes.subarray(0, 8 * MIB);
      await sendChunks(upload, whole, 0, 8 * MIB);
      await upload.seal(8 * MIB);
      await upload.send(whole, chunkSize, 2 * chunkSize);
      const others = sampleBytes(8 * MIB, 77);
      await refusal(upload.send(others, chunkSize, 2 * chunkSize), 'chunk_conflict');
      await refusal(upload.send(whole, 1000, chunkSize), 'chunk_conflict');
      await area[Symbol.asyncDispose]();
      const again = await at(hubs.hub('hub-1'), upload);
      await again.send(whole, chunkSize, 2 * chunkSize);
      await refusal(again.send(others, chunkSize, 2 * chunkSize), 'chunk_conflict');
      await expectPublished(hubs, again, whole);
    });

    it('that wait for their neighbours can be replaced', async () => {
      const hubs = await hubsOn(bench());
      const area = hubs.hub('hub-1');
      const upload = await begin(area, { id: 'b', size, chunkSize });
      await upload.send(sampleBytes(chunkSize, 5), 0, chunkSize);
      await upload.send(bytes, 0, chunkSize);
      await area[Symbol.asyncDispose]();
      const again = await at(hubs.hub('hub-1'), upload);
      await sendChunks(again, bytes, chunkSize, size);
      await expectPublished(hubs, again, bytes);
    });

    it('are gone with the spool, and what is left of them is removed', async () => {
      const hubs = await hubsOn(bench());
      const area = hubs.hub('hub-1');
      const upload = await begin(area, { id: 'b', size, chunkSize });
      await upload.send(bytes, 0, chunkSize);
      await area[Symbol.asyncDispose]();
      const anew = hubs.hub('hub-1', { spoolDir: hubs.spoolOf('another disk') });
      expect((await anew.staging.list()).map(({ id }) => id)).toEqual(['b']);
      await refusal(anew.staging.resume(upload.key), 'file_not_found');
      expect(await hubs.bucket.uploads()).toEqual([]);
    });
  });

  describe('pieces of any length', () => {
    it('may be one of more bytes than the spool has room for', async () => {
      const hubs = await hubsOn(bench());
      const area = hubs.hub('hub-1', { spoolBytes: 64 * MIB });
      const content = new RandomContent('long', 96 * MIB);
      const upload = await begin(area, { id: 'c', size: null, chunkSize: null });
      const received = await upload.upload.receive(0, content.stream(), { keepPartial: true });
      expect(received).toMatchObject({ bytes: content.size, sha256: content.sha256(), complete: true });
      upload.note(0, received);
      expect(await upload.seal(content.size)).toBe(content.sha256());
      expect(upload.upload.hashed).toBe(content.size);
      expect(await upload.upload.publish(content.sha256(), content.size)).toEqual({ stored: true });
      await upload.upload.discard();
      expect(await readdir(hubs.spoolOf('hub-1'))).toEqual([]);
    });

    it('go on where they broke off, and after a restart where the caller knows of', async () => {
      const hubs = await hubsOn(bench());
      const bytes = sampleBytes(30 * MIB, 4);
      const area = hubs.hub('hub-1');
      const upload = await begin(area, { id: 'c', size: bytes.byteLength, chunkSize: null });
      const broken = failingAfter(bytes.subarray(0, 3 * MIB + 7), new Error('the line is dead'));
      const first = await upload.upload.receive(0, broken, { keepPartial: true });
      expect(first).toMatchObject({ bytes: 3 * MIB + 7, complete: false });
      upload.note(0, first);
      // Acknowledged to nobody: the caller died before it could note the answer.
      const lost = chunksOf(bytes.subarray(3 * MIB + 7, 20 * MIB), MIB);
      await upload.upload.receive(3 * MIB + 7, lost, { keepPartial: true });
      await area[Symbol.asyncDispose]();
      const again = await at(hubs.hub('hub-1'), upload);
      const other = sampleBytes(30 * MIB, 5);
      const wrong = chunksOf(other.subarray(3 * MIB + 7, 9 * MIB));
      await refusal(again.upload.receive(3 * MIB + 7, wrong, { keepPartial: true }), 'chunk_conflict');
      // Ends in the middle of what came before: only what could be compared counts.
      const part = failingAfter(bytes.subarray(3 * MIB + 7, 10 * MIB), new Error('again'));
      const compared = await again.upload.receive(3 * MIB + 7, part, { keepPartial: true });
      expect(compared).toEqual({
        bytes: 5 * MIB - 7,
        sha256: sha256Hex(bytes.subarray(3 * MIB + 7, 8 * MIB)),
        complete: false,
      });
      again.note(3 * MIB + 7, compared);
      await again.send(bytes, 8 * MIB);
      await expectPublished(hubs, again, bytes);
    });
  });

  it('bytes that the bucket has lost or changed are not taken for what was sent', async () => {
    const hubs = await hubsOn(bench());
    const bytes = sampleBytes(10 * MIB, 12);
    const upload = await begin(hubs.hub('hub-1'), { id: 'f', size: bytes.byteLength, chunkSize: 5 * MIB });
    await sendChunks(upload, bytes, 0, bytes.byteLength);
    await upload.seal(bytes.byteLength);
    await hubs.bucket.put('.holdfast/uploads/f', sampleBytes(10 * MIB, 13));
    await refusal((await at(hubs.hub('hub-2'), upload)).seal(bytes.byteLength), 'checksum_mismatch');
    await hubs.bucket.put('.holdfast/uploads/f', bytes.subarray(1));
    const impatient = hubs.hub('hub-3', { timeoutMs: 500 });
    await refusal((await at(impatient, upload)).seal(bytes.byteLength), 'file_not_found');
  });

  it('an upload that nobody goes on with is listed, and discarded with all that S3 has of it', async () => {
    const hubs = await hubsOn(bench());
    const area = hubs.hub('hub-1');
    const bytes = sampleBytes(6 * MIB, 14);
    const parts = await begin(area, { id: 'parts', size: 18 * MIB, chunkSize: 6 * MIB });
    await parts.upload.receive(0, chunksOf(bytes), {});
    const single = await begin(area, { id: 'single', size: 6 * MIB, chunkSize: 6 * MIB });
    await single.send(bytes);
    const spooled = await begin(area, { id: 'spooled', size: 18 * MIB, chunkSize: MIB });
    await spooled.send(bytes, 0, MIB);
    const other = hubs.hub('hub-2');
    const listed = await other.staging.list();
    expect(listed.map(({ id }) => id).toSorted()).toEqual(['parts', 'single', 'spooled']);
    for (const { id, state } of listed) {
      await using staged = await other.staging.resume({ id, state, size: null, chunkSize: null });
      await staged.discard();
    }
    expect(await hubs.bucket.uploads()).toEqual([]);
    expect(await hubs.bucket.keys()).toEqual([]);
    // What the first hub has in its spool is its own business.
    const own = await area.staging.list();
    expect(own.map(({ id }) => id)).toEqual(['spooled']);
    await spooled.upload.discard();
    expect(await area.staging.list()).toEqual([]);
    expect(await readdir(join(hubs.spoolOf('hub-1')))).toEqual([]);
  });

  it('a large content goes to the vault by way of the staging area, and leaves nothing there', async () => {
    const hubs = await hubsOn(bench());
    const area = hubs.hub('hub-1');
    const bytes = sampleBytes(20 * MIB, 15);
    const sha256 = sha256Hex(bytes);
    expect(await area.store(chunksOf(bytes, MIB))).toEqual({ sha256, size: bytes.byteLength, stored: true });
    expect(await area.store(chunksOf(bytes, MIB))).toEqual({ sha256, size: bytes.byteLength, stored: false });
    await refusal(area.store(chunksOf(bytes, MIB), { expectedSha256: '0'.repeat(64) }), 'checksum_mismatch');
    expect(await hubs.bucket.keys()).toEqual([`.holdfast/vault/${sha256.slice(0, 2)}/${sha256}`]);
    expect(await hubs.bucket.uploads()).toEqual([]);
    expect(await hubs.bucket.metadata(`.holdfast/vault/${sha256.slice(0, 2)}/${sha256}`)).toMatchObject({
      'holdfast-sha256': sha256,
    });
  });

  it('without a spool there is no vault', async () => {
    const bucket = await bench().bucket();
    expect(bucket.backend.contents).toBeUndefined();
  });
}
