import { sha256Hex } from '@holdfast/bytes/sha256';
import { describe, expect, it } from 'vitest';
import { chunksOf, readAll, sampleBytes } from '../conformance/sample-bytes.ts';
import { beginUpload, chunkStarts } from '../conformance/staged-upload.ts';
import { refusal } from '../conformance/subject.ts';
import type { ContentArea } from '../contents.ts';
import { holderPid, ScratchLun } from './testing/scratch-lun.ts';

const MIB = 1024 * 1024;
const CHUNK = 8 * MIB;
/** Milliseconds; every mount starts two processes and the tools of a file system, which a busy machine is slow with. */
const timeout = 600_000;
const bytes = sampleBytes(CHUNK * 4, 51);
const sha256 = sha256Hex(bytes);

async function expectPublished(area: ContentArea): Promise<void> {
  await using file = await area.open(sha256);
  expect((await readAll(file)).equals(bytes)).toBe(true);
}

describe('uploads to a LUN', { timeout }, () => {
  it('carry on when the server is killed in the middle of pieces and comes back', async () => {
    await using lun = await ScratchLun.formatted({ sizeMiB: 400 });
    const area = lun.backend.contents;
    const upload = await beginUpload(area, bytes.byteLength, CHUNK);
    let restarting: Promise<void> | undefined;
    async function* source(start: number): AsyncGenerator<Uint8Array> {
      yield* chunksOf(bytes.subarray(start, start + CHUNK / 2));
      if (start === CHUNK) restarting = lun.server.kill().then(() => lun.server.restart());
      yield* chunksOf(bytes.subarray(start + CHUNK / 2, start + CHUNK));
    }
    await Promise.all(
      chunkStarts(bytes.byteLength, CHUNK).map(async (start) => {
        upload.note(start, await upload.upload.receive(start, source(start), { length: CHUNK }));
      }),
    );
    await restarting;
    expect(await upload.seal(bytes.byteLength)).toBe(sha256);
    await upload.upload.publish(sha256, bytes.byteLength);
    await expectPublished(area);
  });

  it('keep every acknowledged piece when the process that holds the LUN is killed', async () => {
    await using lun = await ScratchLun.formatted({ sizeMiB: 400 });
    const area = lun.backend.contents;
    const upload = await beginUpload(area, bytes.byteLength, CHUNK);
    await upload.send(bytes, 0, CHUNK);
    await upload.send(bytes, CHUNK * 2, CHUNK * 3);
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* chunksOf(bytes.subarray(CHUNK, CHUNK + MIB));
      process.kill(await holderPid(lun.stateDir), 'SIGKILL');
      yield* chunksOf(bytes.subarray(CHUNK + MIB, CHUNK * 2));
    }
    await refusal(upload.upload.receive(CHUNK, source(), { length: CHUNK }), 'backend_unavailable');
    // The same instance goes on with the next process.
    await upload.send(bytes, CHUNK, CHUNK * 2);
    await upload.send(bytes, CHUNK * 3, CHUNK * 4);
    expect(await upload.seal(bytes.byteLength)).toBe(sha256);
    await upload.upload.publish(sha256, bytes.byteLength);
    // Mounted anew: from the disk, not from memory.
    await lun.backend[Symbol.asyncDispose]();
    await using again = lun.backendFor(lun.volumeId);
    await expectPublished(again.contents);
    expect(await again.contents.staging.list()).toEqual([]);
  });

  it('are refused by a LUN that is full, and leave it as it was', async () => {
    await using lun = await ScratchLun.formatted({ sizeMiB: 100 });
    const area = lun.backend.contents;
    await refusal(area.staging.create({ id: 'x', size: 200 * MIB, chunkSize: CHUNK }), 'storage_full');
    const upload = await beginUpload(area, null, null);
    await upload.send(bytes);
    async function* source(): AsyncGenerator<Uint8Array> {
      for (let count = 0; count < 4; count += 1) yield* chunksOf(bytes);
    }
    await refusal(upload.upload.receive(bytes.byteLength, source(), {}), 'storage_full');
    expect(await upload.seal(bytes.byteLength)).toBe(sha256);
    await upload.upload.discard();
    expect(await area.staging.list()).toEqual([]);
  });

  it('do not hold back others while their sources stall', async () => {
    await using lun = await ScratchLun.formatted({ sizeMiB: 200 });
    const area = lun.backend.contents;
    const controller = new AbortController();
    const { signal } = controller;
    const stalled = await Promise.all(
      Array.from({ length: 150 }, async () => {
        const upload = await beginUpload(area, null, null);
        const arrived = Promise.withResolvers<void>();
        async function* source(): AsyncGenerator<Uint8Array> {
          yield bytes.subarray(0, 1000);
          arrived.resolve();
          await new Promise<never>(() => {});
        }
        const receiving = upload.upload.receive(0, source(), { keepPartial: true, signal });
        await arrived.promise;
        return { upload, receiving };
      }),
    );
    const other = await beginUpload(area, bytes.byteLength, CHUNK);
    for (const start of chunkStarts(bytes.byteLength, CHUNK)) await other.send(bytes, start, start + CHUNK);
    expect(await other.seal(bytes.byteLength)).toBe(sha256);
    controller.abort();
    for (const { upload, receiving } of stalled) {
      const received = await receiving;
      expect(received).toMatchObject({ bytes: 1000, complete: false });
      upload.note(0, received);
      expect(await upload.seal(1000)).toBe(sha256Hex(bytes.subarray(0, 1000)));
    }
  });
});
