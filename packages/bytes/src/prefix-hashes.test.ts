import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PrefixHashes } from './prefix-hashes.ts';
import type { ReadableDescriptor } from './prefix-hashes.ts';
import { EMPTY_SHA256, sha256Hex } from './sha256.ts';

const bytes = randomBytes(300_000);
let folder: string;
let file: FileHandle;
let isReading = 0;

const reading = async (): Promise<ReadableDescriptor> => {
  isReading += 1;
  return {
    fd: file.fd,
    [Symbol.asyncDispose]: async () => {
      isReading -= 1;
    },
  };
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-prefix-'));
  file = await open(join(folder, 'file'), 'w+');
  await file.write(bytes);
});

afterAll(async () => {
  await file.close();
  await rm(folder, { recursive: true });
});

describe('PrefixHashes', () => {
  it('tells the digest of every prefix, however it is reached', async () => {
    await using hashes = new PrefixHashes();
    const steps = fc.array(fc.integer({ min: 0, max: bytes.byteLength }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(steps, async (ends) => {
        using hash = hashes.begin();
        for (const end of ends.toSorted((a, b) => a - b)) {
          await hash.fromFile(reading, end);
          expect(hash.hashed).toBe(end);
          expect(await hash.digest()).toBe(sha256Hex(bytes.subarray(0, end)));
        }
      }),
      { numRuns: 40 },
    );
    expect(isReading).toBe(0);
  });

  it('goes on with bytes that are handed over', async () => {
    await using hashes = new PrefixHashes();
    using hash = hashes.begin();
    await hash.fromFile(reading, 1000);
    expect(await hash.takeOver(Uint8Array.from(bytes.subarray(1000, 5000)))).toBe(true);
    await hash.fromFile(reading, bytes.byteLength);
    expect(await hash.digest()).toBe(sha256Hex(bytes));
  });

  it('of no bytes is the empty digest', async () => {
    await using hashes = new PrefixHashes();
    using hash = hashes.begin();
    expect(await hash.digest()).toBe(EMPTY_SHA256);
  });

  it('begins anew with a file whose state was forgotten for others', async () => {
    await using hashes = new PrefixHashes({ workers: 1, maxStates: 2 });
    const all = Array.from({ length: 5 }, () => hashes.begin());
    for (const end of [10, 1000, 200_000]) {
      for (const hash of all) await hash.fromFile(reading, end);
    }
    const [oldest, , , , newest] = all;
    expect(await newest?.digest()).toBe(sha256Hex(bytes.subarray(0, 200_000)));
    expect(await oldest?.digest()).toBeUndefined();
    expect(oldest?.hashed).toBe(0);
    expect(await oldest?.takeOver(Uint8Array.from(bytes))).toBe(true);
    expect(await oldest?.digest()).toBe(sha256Hex(bytes));
    for (const hash of all) hash[Symbol.dispose]();
  });

  it('lets many files take turns', async () => {
    await using hashes = new PrefixHashes({ workers: 2 });
    const digests = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        using hash = hashes.begin();
        await hash.fromFile(reading, index * 3000);
        return await hash.digest();
      }),
    );
    expect(digests).toEqual(digests.map((_, index) => sha256Hex(bytes.subarray(0, index * 3000))));
  });

  it('stops where the file ends', async () => {
    await using hashes = new PrefixHashes();
    using hash = hashes.begin();
    await hash.fromFile(reading, bytes.byteLength + 5);
    expect(hash.hashed).toBe(bytes.byteLength);
  });

  it('can be taken back to the first byte', async () => {
    await using hashes = new PrefixHashes();
    using hash = hashes.begin();
    await hash.fromFile(reading, 500);
    hash.restart();
    await hash.fromFile(reading, 700);
    expect(await hash.digest()).toBe(sha256Hex(bytes.subarray(0, 700)));
  });

  it('lets go of the descriptor soon when it is disposed in mid-file', async () => {
    await using hashes = new PrefixHashes();
    await using endless = await open(join(folder, 'endless'), 'w+');
    await endless.truncate(2 ** 42);
    const hash = hashes.begin();
    const released = Promise.withResolvers<void>();
    const opened = Promise.withResolvers<void>();
    const hashing = hash.fromFile(async () => {
      opened.resolve();
      return { fd: endless.fd, [Symbol.asyncDispose]: async () => released.resolve() };
    }, 2 ** 42);
    await opened.promise;
    hash[Symbol.dispose]();
    await expect(hashing).rejects.toMatchObject({ code: 'cancelled' });
    await released.promise;
  });

  it('fails clearly for what cannot be read, and once it is disposed', async () => {
    const hashes = new PrefixHashes();
    using hash = hashes.begin();
    await using folderHandle = await open(folder);
    const unreadable = async (): Promise<ReadableDescriptor> => ({
      fd: folderHandle.fd,
      [Symbol.asyncDispose]: async () => {},
    });
    await expect(hash.fromFile(unreadable, 10)).rejects.toMatchObject({ code: 'backend_unavailable' });
    await hashes[Symbol.asyncDispose]();
    await expect(hash.fromFile(reading, 10)).rejects.toMatchObject({ code: 'shutting_down' });
  });
});
