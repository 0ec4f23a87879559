import { sha256Hex } from '@holdfast/bytes/sha256';
import { isHoldfastError } from '@holdfast/contract/errors';
import { startGanesha } from '@holdfast/test-support/ganesha';
import type { ProxyDirection } from '@holdfast/test-support/tcp-proxy';
import { readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { chunksOf, readAll, sampleBytes } from '../../../conformance/sample-bytes.ts';
import { beginUpload, chunkStarts, uploadOf } from '../../../conformance/staged-upload.ts';
import { refusal } from '../../../conformance/subject.ts';
import type { ContentArea } from '../../../contents.ts';
import { isSuperuser, makeScratchRoot } from '../../../local/testing/scratch-root.ts';
import { createNfsBackend, prepareNfs } from '../../../nfs.ts';
import { makeTestShare } from '../../testing/test-share.ts';
import type { TestShare } from '../../testing/test-share.ts';

const MIB = 1024 * 1024;
const CHUNK = 8 * MIB;
const large = sampleBytes(CHUNK * 6, 41);
const small = sampleBytes(100_000, 42);
const inVault = (share: TestShare, sha256: string): string =>
  share.onDisk(`.holdfast/vault/${sha256.slice(0, 2)}/${sha256}`);

async function isStoredRight(area: ContentArea, bytes: Buffer): Promise<boolean> {
  await using file = await area.open(sha256Hex(bytes));
  return (await readAll(file)).equals(bytes);
}

describe.each([
  ['NFSv4.1', {}],
  ['NFSv4.1 with a grace period', { graceSeconds: 3, leaseSeconds: 5 }],
  ['NFSv3', { protocols: '3' as const }],
])('a server by %s that is killed (kill -9) in the middle of pieces', (_name, options) => {
  it('gets again what it had lost, and the upload goes on', async () => {
    await using share = await makeTestShare(options);
    const area = share.backend.contents;
    const upload = await beginUpload(area, large.byteLength, CHUNK);
    let restarting: Promise<void> | undefined;
    /** A chunk; the server is killed in the middle of the third one. */
    async function* source(start: number): AsyncGenerator<Uint8Array> {
      yield* chunksOf(large.subarray(start, start + CHUNK / 2));
      if (start === CHUNK * 2) {
        await share.server.kill();
        restarting = share.proxy.moreConnections(3).then(() => share.server.restart());
      }
      yield* chunksOf(large.subarray(start + CHUNK / 2, start + CHUNK));
    }
    await Promise.all(
      chunkStarts(large.byteLength, CHUNK).map(async (start) => {
        upload.note(start, await upload.upload.receive(start, source(start), { length: CHUNK }));
      }),
    );
    await restarting;
    expect(await upload.seal(large.byteLength)).toBe(sha256Hex(large));
    expect(await upload.upload.publish(sha256Hex(large), large.byteLength)).toEqual({ stored: true });
    expect((await readFile(inVault(share, sha256Hex(large)))).equals(large)).toBe(true);
  });
});

describe.each(['4' as const, '3' as const])('one byte that is changed on its way, by NFSv%s', (protocols) => {
  const directions: ProxyDirection[] = ['toServer', 'toClient'];

  it.each(directions)('%s, of a large upload: it is never sealed as something else', async (direction) => {
    await using share = await makeTestShare({ protocols, timeLimitMs: 2000 });
    const area = share.backend.contents;
    for (const afterBytes of [5 * MIB + 3, 21 * MIB + 7]) {
      const flipped = share.proxy.flipByte({ direction, afterBytes, mask: 4 });
      const sealing = uploadOf(area, large, CHUNK).then((upload) => upload.seal(large.byteLength));
      const outcome = await sealing.catch((error: unknown) => error);
      await flipped;
      if (outcome === sha256Hex(large)) continue;
      // Bytes that are wrong over there are told; those that were changed on their way back are read again.
      expect(direction).toBe('toServer');
      if (!isHoldfastError(outcome)) throw new Error('Sealed as something else.', { cause: outcome });
      expect(['checksum_mismatch', 'backend_unavailable', 'file_not_found']).toContain(outcome.code);
    }
  });

  it.each(directions)(
    '%s, anywhere in a small upload: it is there and right, or an error',
    async (direction) => {
      await using share = await makeTestShare({ protocols, timeLimitMs: 1000 });
      const area = share.backend.contents;
      const whole = async (bytes: Buffer): Promise<void> => {
        const upload = await uploadOf(area, bytes, MIB);
        const sha256 = await upload.seal(bytes.byteLength);
        expect(sha256).toBe(sha256Hex(bytes));
        await upload.upload.publish(sha256, bytes.byteLength);
      };
      const start = share.proxy.bytes[direction];
      await whole(small);
      const span = share.proxy.bytes[direction] - start;
      for (let round = 0; round < 40; round += 1) {
        const bytes = sampleBytes(1000 + round, 300 + round);
        const afterBytes = Math.floor(((span - small.byteLength) * round) / 40);
        const flipped = share.proxy.flipByte({ direction, afterBytes, mask: round % 2 === 0 ? 0xff : 0x04 });
        const outcome = await whole(bytes).then(
          () => 'stored',
          (error: unknown) => error,
        );
        let isFlipped = false;
        void flipped.then(() => {
          isFlipped = true;
        });
        while (!isFlipped) await area.stat(sha256Hex(bytes)).catch(() => undefined);
        if (outcome !== 'stored' && (!isHoldfastError(outcome) || outcome.code === 'internal')) throw outcome;
        if (outcome === 'stored') expect(await isStoredRight(area, bytes)).toBe(true);
      }
    },
  );
});

describe('an upload on a share', () => {
  it('whose bytes were changed on the server is not sealed as what was sent', async () => {
    await using share = await makeTestShare();
    const area = share.backend.contents;
    const upload = await beginUpload(area, 2 * MIB, MIB);
    const bytes = large.subarray(0, 2 * MIB);
    // Not the first piece: nothing is read back before it is there.
    await upload.send(bytes, MIB, 2 * MIB);
    const changed = Buffer.from(bytes);
    changed[MIB + 5] = 0xff ^ (changed[MIB + 5] ?? 0);
    await writeFile(share.onDisk(`.holdfast/uploads/${upload.key.id}`), changed, { flag: 'r+' });
    await upload.send(bytes, 0, MIB);
    await refusal(upload.seal(2 * MIB), 'checksum_mismatch');
    await upload.upload.discard();
  });

  it('whose staged bytes were taken away acknowledges nothing more', async () => {
    await using share = await makeTestShare();
    const upload = await beginUpload(share.backend.contents, 2 * MIB, MIB);
    await upload.send(large.subarray(0, 2 * MIB), 0, MIB);
    await rm(share.onDisk(`.holdfast/uploads/${upload.key.id}`));
    await refusal(upload.upload.receive(MIB, chunksOf(small), {}), 'file_not_found');
    await refusal(share.backend.contents.staging.resume(upload.key), 'file_not_found');
  });

  it('is refused when another volume is there, or none', async () => {
    await using share = await makeTestShare();
    const area = share.backend.contents;
    const upload = await uploadOf(area, small, MIB);
    const everything = (): Promise<unknown>[] => [
      area.staging.create({ id: 'x', size: 1, chunkSize: 1 }),
      area.staging.resume(upload.key),
      upload.upload.receive(0, chunksOf(small), { length: small.byteLength }),
      upload.upload.publish(sha256Hex(small), small.byteLength),
      area.store(chunksOf(small)),
      area.stat(sha256Hex(small)),
      area.remove(sha256Hex(small)),
      area.list({ limit: 1 }),
    ];
    const marker = share.onDisk('.holdfast/volume.json');
    const text = await readFile(marker);
    await rename(marker, share.onDisk('.holdfast/elsewhere'));
    await Promise.all(everything().map((call) => refusal(call, 'backend_unavailable')));
    await writeFile(marker, JSON.stringify({ volume_id: 'another', created_at: '' }));
    await Promise.all(everything().map((call) => refusal(call, 'wrong_volume')));
    await writeFile(marker, text);
    await upload.restart();
    expect(await upload.seal(small.byteLength)).toBe(sha256Hex(small));
  });

  it('replaces a damaged content of another size', async () => {
    await using share = await makeTestShare();
    const area = share.backend.contents;
    await area.store(chunksOf(small));
    await truncate(inVault(share, sha256Hex(small)), 5);
    const upload = await uploadOf(area, small, MIB);
    await upload.seal(small.byteLength);
    expect(await upload.upload.publish(sha256Hex(small), small.byteLength)).toEqual({ stored: true });
    expect(await isStoredRight(area, small)).toBe(true);
    expect(await readdir(share.onDisk('.holdfast/uploads'))).toEqual([]);
  });

  it('does not wait for those whose sources stall', async () => {
    await using share = await makeTestShare();
    const area = share.backend.contents;
    const controller = new AbortController();
    const { signal } = controller;
    const stalled = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const upload = await beginUpload(area, null, null);
        const arrived = Promise.withResolvers<void>();
        async function* source(): AsyncGenerator<Uint8Array> {
          yield small.subarray(0, 1000);
          arrived.resolve();
          await new Promise<never>(() => {});
        }
        const receiving = upload.upload.receive(0, source(), { keepPartial: true, signal });
        await arrived.promise;
        return { upload, receiving };
      }),
    );
    const other = await uploadOf(area, large.subarray(0, CHUNK), CHUNK);
    expect(await other.seal(CHUNK)).toBe(sha256Hex(large.subarray(0, CHUNK)));
    controller.abort();
    for (const { upload, receiving } of stalled) {
      upload.note(0, await receiving);
      expect(await upload.seal(1000)).toBe(sha256Hex(small.subarray(0, 1000)));
    }
  });
});

it.runIf(isSuperuser)('a full server keeps what was acknowledged, and says so', async () => {
  await using scratch = await makeScratchRoot({ tmpfs: '8m' });
  await rm(scratch.root + '/.holdfast', { recursive: true });
  await using server = await startGanesha({ root: scratch.root });
  const { host, port, exportPath } = server;
  const config = { server: host, port, export_path: exportPath, mode: 'direct' } as const;
  const { volumeId } = await prepareNfs(config);
  await using backend = createNfsBackend({ ...config, volumeId, ownerId: 'hub-1' });
  const area = backend.contents;
  await refusal(area.staging.create({ id: 'x', size: 9 * MIB, chunkSize: MIB }), 'storage_full');
  const upload = await beginUpload(area, null, null);
  await upload.send(large.subarray(0, MIB));
  const rest = chunksOf(large.subarray(MIB, 12 * MIB));
  await refusal(upload.upload.receive(MIB, rest, { length: 11 * MIB }), 'storage_full');
  expect(await upload.seal(MIB)).toBe(sha256Hex(large.subarray(0, MIB)));
  await upload.upload.discard();
  expect(await area.staging.list()).toEqual([]);
});
