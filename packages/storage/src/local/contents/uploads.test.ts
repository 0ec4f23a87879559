import { sha256Hex } from '@holdfast/bytes/sha256';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readlink, rename, rm, statfs, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from 'vitest';
import { chunksOf, sampleBytes } from '../../conformance/sample-bytes.ts';
import { beginUpload, uploadOf } from '../../conformance/staged-upload.ts';
import { refusal } from '../../conformance/subject.ts';
import { isSuperuser, makeScratchRoot } from '../testing/scratch-root.ts';
import type { ScratchRoot } from '../testing/scratch-root.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const bytes = sampleBytes(MIB, 31);
const sha256 = sha256Hex(bytes);

let scratch: ScratchRoot;
async function fresh(options: { tmpfs?: string } = {}): Promise<ScratchRoot['backend']['contents']> {
  scratch = await makeScratchRoot(options);
  return scratch.backend.contents;
}
afterEach(async () => {
  await scratch.backend[Symbol.asyncDispose]();
  await scratch[Symbol.asyncDispose]();
});

const inVault = (digest: string): string => join(scratch.root, '.holdfast/vault', digest.slice(0, 2), digest);
const uploads = (): string => join(scratch.root, '.holdfast/uploads');

/** How many descriptors of this process are open on staged files. */
async function openUploads(): Promise<number> {
  const targets = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  );
  return targets.filter((target) => target.startsWith(`${uploads()}/`)).length;
}

describe('a disk that is full', () => {
  it.runIf(isSuperuser)(
    'in the middle of a piece keeps what was acknowledged, and others carry on',
    async () => {
      const area = await fresh({ tmpfs: '4m' });
      const small = await beginUpload(area, MIB, MIB);
      const large = await beginUpload(area, null, null);
      await large.send(bytes);
      const rest = chunksOf(sampleBytes(6 * MIB));
      await refusal(large.upload.receive(MIB, rest, { length: 6 * MIB }), 'storage_full');
      expect(await large.seal(MIB)).toBe(sha256);
      await large.upload.discard();
      await small.send(bytes);
      expect(await small.seal(MIB)).toBe(sha256);
    },
  );

  it.runIf(isSuperuser)('is told before the first byte, by size or by allocation', async () => {
    const area = await fresh({ tmpfs: '100m' });
    const begin = (size: number): Promise<unknown> =>
      area.staging.create({ id: `s-${size}`, size, chunkSize: MIB });
    await refusal(begin(101 * MIB), 'storage_full');
    const free = async (): Promise<number> => {
      const { bsize, bfree } = await statfs(scratch.root);
      return bsize * bfree;
    };
    const before = await free();
    await begin(64 * MIB);
    expect(await free()).toBeLessThanOrEqual(before - 64 * MIB);
    await refusal(begin(65 * MIB), 'storage_full');
    expect(await area.staging.list()).toHaveLength(1);
  });

  it.runIf(isSuperuser)('refuses those of many contents that have no room', async () => {
    const area = await fresh({ tmpfs: '1m' });
    const contents = Array.from({ length: 40 }, (_, index) => {
      const content = sampleBytes(100 * KIB, 500 + index);
      return { sha256: sha256Hex(content), bytes: content };
    });
    const outcomes = await area.storeMany(contents);
    const refused = outcomes.filter((outcome) => 'error' in outcome);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(40);
    for (const { error } of refused) expect(error).toMatchObject({ code: 'storage_full' });
    for (const [index, { sha256: digest }] of contents.entries()) {
      const isStored = 'stored' in (outcomes[index] ?? {});
      expect((await area.stat(digest)) !== null).toBe(isStored);
    }
    expect(await scratch.staged()).toEqual([]);
  });
});

describe('a volume that is not the right one', () => {
  it('is refused by everything that would change it', async () => {
    const area = await fresh();
    const upload = await uploadOf(area, bytes, MIB);
    await upload.seal(MIB);
    const everything = (): Promise<unknown>[] => [
      area.staging.create({ id: 'x', size: 1, chunkSize: 1 }),
      area.staging.resume(upload.key),
      upload.upload.receive(0, chunksOf(bytes), { length: MIB }),
      upload.seal(MIB),
      upload.upload.publish(sha256, MIB),
      upload.upload.discard(),
      area.store(chunksOf(bytes)),
      area.storeMany([{ sha256, bytes }]),
      area.stat(sha256),
      area.open(sha256),
      area.remove(sha256),
      area.list({ limit: 1 }),
      area.staging.list(),
    ];
    const marker = join(scratch.root, '.holdfast/volume.json');
    await rename(marker, join(scratch.base, 'marker'));
    await Promise.all(everything().map((call) => refusal(call, 'backend_unavailable')));
    await writeFile(marker, JSON.stringify({ volume_id: 'another', created_at: '' }));
    await Promise.all(everything().map((call) => refusal(call, 'wrong_volume')));
    await rename(join(scratch.base, 'marker'), marker);
    await upload.restart();
    expect(await upload.seal(MIB)).toBe(sha256);
  });

  it.runIf(isSuperuser)('by being mounted read-only takes nothing', async () => {
    const area = await fresh({ tmpfs: '8m' });
    const upload = await beginUpload(area, MIB, MIB);
    await scratch.remount('ro');
    await refusal(area.staging.create({ id: 'x', size: 1, chunkSize: 1 }), 'read_only');
    await refusal(upload.upload.receive(0, chunksOf(bytes), { length: MIB }), 'read_only');
    await refusal(area.store(chunksOf(bytes)), 'read_only');
    await scratch.remount('rw');
    await upload.send(bytes);
  });
});

describe('publishing', () => {
  it('carries on wherever a crash has left it', async () => {
    const area = await fresh();
    const upload = await uploadOf(area, bytes, MIB);
    await upload.seal(MIB);
    await upload.upload.publish(sha256, MIB);
    // After the link, before the staged name went: both are there.
    const second = await uploadOf(area, bytes, MIB);
    await second.seal(MIB);
    expect(await second.upload.publish(sha256, MIB)).toEqual({ stored: false });
    expect(await readdir(uploads())).toEqual([]);
    // After the staged name went.
    expect(await second.upload.publish(sha256, MIB)).toEqual({ stored: true });
    await refusal(second.upload.publish(sha256Hex('another'), MIB), 'file_not_found');
  });

  it('replaces a damaged content of another size', async () => {
    const area = await fresh();
    await area.store(chunksOf(bytes));
    await truncate(inVault(sha256), 5);
    const upload = await uploadOf(area, bytes, MIB);
    await upload.seal(MIB);
    expect(await upload.upload.publish(sha256, MIB)).toEqual({ stored: true });
    await truncate(inVault(sha256), 5);
    expect(await area.store(chunksOf(bytes))).toMatchObject({ stored: true });
    await truncate(inVault(sha256), 5);
    expect(await area.storeMany([{ sha256, bytes }])).toEqual([{ stored: true }]);
    expect(await area.stat(sha256)).toMatchObject({ size: MIB });
    expect(await scratch.staged()).toEqual([]);
  });
});

describe('an upload', () => {
  it('whose staged bytes were taken away acknowledges nothing more', async () => {
    const area = await fresh();
    const upload = await beginUpload(area, MIB * 2, MIB);
    await upload.send(bytes, 0, MIB);
    await rm(join(uploads(), upload.key.id));
    await refusal(upload.upload.receive(MIB, chunksOf(bytes), { length: MIB }), 'file_not_found');
    await refusal(
      upload.seal(MIB * 2).catch(async () => area.staging.resume(upload.key)),
      'file_not_found',
    );
  });

  it('is hashed anew when bytes change that were hashed already', async () => {
    const area = await fresh();
    const other = sampleBytes(MIB, 77);
    const upload = await uploadOf(area, Buffer.concat([bytes, bytes]), MIB);
    expect(await upload.seal(MIB * 2)).toBe(sha256Hex(Buffer.concat([bytes, bytes])));
    await upload.send(other);
    expect(await upload.seal(MIB * 2)).toBe(sha256Hex(Buffer.concat([other, bytes])));
  });

  it('is made of the bytes that the disk has, not of those that came', async () => {
    const area = await fresh();
    const upload = await uploadOf(area, Buffer.concat([bytes, bytes]), MIB);
    await upload.restart();
    const changed = Buffer.concat([bytes, bytes]);
    changed[5] = 0xff ^ (changed[5] ?? 0);
    await writeFile(join(uploads(), upload.key.id), changed);
    expect(await upload.seal(MIB * 2)).toBe(sha256Hex(changed));
  });

  it('cannot be begun twice under one id', async () => {
    const area = await fresh();
    await area.staging.create({ id: 'twice', size: 1, chunkSize: 1 });
    await refusal(area.staging.create({ id: 'twice', size: 1, chunkSize: 1 }), 'already_exists');
  });

  it('keeps every acknowledged piece when its process is killed', async () => {
    const area = await fresh();
    const chunk = 100_003;
    const whole = sampleBytes(chunk * 40, 3);
    const begun = await beginUpload(area, whole.byteLength, chunk);
    const module = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
    const program = `
      import { createLocalBackend } from ${module('../../local.ts')};
      import { chunksOf, sampleBytes } from ${module('../../conformance/sample-bytes.ts')};
      const [root, volumeId, key] = process.argv.slice(1);
      const { contents } = createLocalBackend({ root, volumeId, ownerId: 'hub-1' });
      const upload = await contents.staging.resume(JSON.parse(key));
      const whole = sampleBytes(${whole.byteLength}, 3);
      await Promise.all([0, 1, 2, 3].map(async (lane) => {
        for (let num = lane; num < 40; num += 4) {
          const start = num * ${chunk};
          await upload.receive(start, chunksOf(whole.subarray(start, start + ${chunk})), { length: ${chunk} });
          console.log(num);
        }
      }));
    `;
    const args = ['--input-type=module', '--eval', program, scratch.root, scratch.volumeId];
    const child = spawn(process.execPath, [...args, JSON.stringify(begun.key)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(child, 'exit');
    const acknowledged: number[] = [];
    for await (const line of createInterface(child.stdout)) {
      acknowledged.push(Number(line));
      if (acknowledged.length === 11) child.kill('SIGKILL');
    }
    await exit;
    for (const num of acknowledged) begun.note(num * chunk, { bytes: chunk });
    expect(begun.pieces.length).toBeGreaterThanOrEqual(11);
    for (let num = 0; num < 40; num += 1) {
      if (!acknowledged.includes(num)) await begun.send(whole, num * chunk, (num + 1) * chunk);
    }
    expect(await begun.seal(whole.byteLength)).toBe(sha256Hex(whole));
  });
});

describe('many uploads at once', () => {
  it('do not wait for those whose sources stall', async () => {
    const area = await fresh();
    const controller = new AbortController();
    const { signal } = controller;
    const stalled = Array.from({ length: 200 }, async () => {
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
    });
    const all = await Promise.all(stalled);
    const other = await uploadOf(area, bytes, MIB);
    expect(await other.seal(MIB)).toBe(sha256);
    controller.abort();
    for (const { upload, receiving } of all) {
      const received = await receiving;
      expect(received).toMatchObject({ bytes: 1000, complete: false });
      upload.note(0, received);
      expect(await upload.seal(1000)).toBe(sha256Hex(bytes.subarray(0, 1000)));
    }
  });

  it('keep a bounded number of descriptors, and none when the backend is disposed', async () => {
    const area = await fresh();
    const piece = bytes.subarray(0, 3000);
    const all = await Promise.all(
      Array.from({ length: 400 }, async () => {
        const upload = await beginUpload(area, 6000, 3000);
        await upload.send(piece);
        return upload;
      }),
    );
    expect(await openUploads()).toBeLessThanOrEqual(256);
    for (const upload of all) {
      upload.note(3000, await upload.upload.receive(3000, chunksOf(piece), { length: 3000 }));
      expect(await upload.seal(6000)).toBe(sha256Hex(Buffer.concat([piece, piece])));
    }
    await scratch.backend[Symbol.asyncDispose]();
    expect(await openUploads()).toBe(0);
  });
});
