import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { sha256Hex, StreamDigest } from '@holdfast/bytes/sha256';
import { isHoldfastError } from '@holdfast/contract/errors';
import { startTcpProxy } from '@holdfast/test-support/tcp-proxy';
import type { FlipOptions } from '@holdfast/test-support/tcp-proxy';
import { RandomContent } from '@holdfast/test-support/random-file';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StorageBackend } from '../backend.ts';
import { bytesAt, chunksOf, digestAt, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal } from '../conformance/subject.ts';
import { startScratchDav } from './testing/scratch-dav.ts';
import type { ScratchDav } from './testing/scratch-dav.ts';

const MIB = 1024 * 1024;
const large = new RandomContent('large', 256 * MIB);

let dav: ScratchDav;
beforeAll(async () => {
  dav = await startScratchDav();
});
afterAll(() => dav[Symbol.asyncDispose]());

const onServer = (path: string): Promise<Buffer> => readFile(join(dav.server.root, path));

describe('when the server is killed', () => {
  it('in the middle of a large write, fails clearly, and nothing shows', async () => {
    const path = parseBackendPath('/killed/image');
    const old = sampleBytes(5000);
    await dav.backend.write(path, chunksOf(old));
    async function* source(): AsyncGenerator<Uint8Array> {
      let sent = 0;
      for (const piece of large.pieces()) {
        if (sent === 100 * MIB) await dav.server.kill();
        yield piece;
        sent += piece.byteLength;
      }
    }
    await refusal(dav.backend.write(path, source(), { expectedSize: large.size }), 'backend_unavailable');
    expect(await onServer(path)).toEqual(old);
    await refusal(dav.backend.stat(path), 'backend_unavailable');
    await dav.server.restart();
    expect(await bytesAt(dav.backend, path)).toEqual(old);
    await dav.backend.sweep();
    expect(await dav.staged()).toEqual([]);
    await dav.backend.write(path, chunksOf(sampleBytes(10)));
  });

  it('in the middle of a large read, goes on where it stopped once it is back', async () => {
    const path = parseBackendPath('/killed/large');
    await large.writeTo(join(dav.server.root, path));
    await using file = await dav.backend.open(path);
    const digest = new StreamDigest();
    let restarted: Promise<void> | undefined;
    for await (const chunk of file.stream()) {
      digest.update(chunk);
      // Not waited for: the read meets the closed port, and tries again until the server is back.
      if (digest.bytes > 100 * MIB) restarted ??= dav.server.kill().then(() => dav.server.restart());
    }
    await restarted;
    expect(restarted).toBeDefined();
    expect(digest.hex()).toBe(large.sha256());
  });

  it('in the middle of a read for good, fails within the time limit', async () => {
    const backend = dav.open({ timeLimitMs: 400 });
    await using file = await backend.open(parseBackendPath('/killed/large'));
    const read = async (): Promise<void> => {
      for await (const chunk of file.stream()) {
        expect(chunk.byteLength).toBeGreaterThan(0);
        await dav.server.kill();
      }
    };
    const error = await refusal(read(), 'backend_unavailable');
    expect(error.retryable).toBe(true);
    await dav.server.restart();
  });
});

it('ends a resumed read with a conflict when the file is another one meanwhile', async () => {
  const path = parseBackendPath('/replaced');
  await dav.backend.write(path, chunksOf(sampleBytes(8 * MIB, 1)));
  await using file = await dav.backend.open(path);
  const read = async (): Promise<void> => {
    let isFirst = true;
    for await (const chunk of file.stream()) {
      expect(chunk.byteLength).toBeGreaterThan(0);
      if (!isFirst) continue;
      isFirst = false;
      await dav.backend.write(path, chunksOf(sampleBytes(8 * MIB, 2)));
      dav.proxy.cut();
    }
  };
  await refusal(read(), 'conflict');
});

describe('a byte that is flipped on its way', () => {
  it('to the server, in the content, keeps a write from being published', async () => {
    const path = parseBackendPath('/flipped/to-server');
    const bytes = sampleBytes(4 * MIB, 3);
    for (const announced of [{ expectedSize: bytes.byteLength }, {}]) {
      const flipped = dav.proxy.flipByte({ direction: 'toServer', afterBytes: 2 * MIB, mask: 0x01 });
      await refusal(dav.backend.write(path, chunksOf(bytes), announced), 'backend_unavailable');
      await flipped;
      await refusal(dav.backend.stat(path), 'file_not_found');
      expect(await dav.staged()).toEqual([]);
    }
  });

  it('back to us, in the verification, is told apart by a second look', async () => {
    const path = parseBackendPath('/flipped/to-client');
    const bytes = sampleBytes(4 * MIB, 4);
    const flipped = dav.proxy.flipByte({ direction: 'toClient', afterBytes: 2 * MIB, mask: 0x01 });
    const { sha256 } = await dav.backend.write(path, chunksOf(bytes));
    await flipped;
    expect(sha256).toBe(sha256Hex(bytes));
    expect(await onServer(path)).toEqual(bytes);
  });

  it('in a copy on its way to us, never makes a wrong digest', async () => {
    const from = parseBackendPath('/flipped/source');
    const to = parseBackendPath('/flipped/copy');
    const bytes = sampleBytes(MIB, 5);
    await dav.backend.write(from, chunksOf(bytes));
    const flipped = dav.proxy.flipByte({ direction: 'toClient', afterBytes: MIB / 2, mask: 0x01 });
    await refusal(copyOf(dav.backend)(from, to), 'checksum_mismatch');
    await flipped;
    await refusal(dav.backend.stat(to), 'file_not_found');
    expect((await copyOf(dav.backend)(from, to)).sha256).toBe(sha256Hex(bytes));
  });

  /** Runs an action on a backend behind a relay of its own, which flips one bit; a flip that never came goes with it. */
  async function withFlip<T>(flip: FlipOptions, action: (backend: StorageBackend) => Promise<T>): Promise<T> {
    await using relay = await startTcpProxy({ port: dav.server.ports.dav });
    const config = { base_url: `http://127.0.0.1:${relay.listenPort}/` };
    await using backend = dav.open({ timeLimitMs: 400, config });
    void relay.flipByte(flip);
    return await action(backend);
  }

  it.each(['toServer', 'toClient'] as const)(
    '%s, anywhere in a write, never makes it lie',
    async (direction) => {
      const bytes = sampleBytes(100, 6);
      const old = sampleBytes(77, 7);
      const path = parseBackendPath('/flipped/anywhere');
      let completed = 0;
      for (let afterBytes = 0; afterBytes < 2600; afterBytes += 57) {
        await writeFile(join(dav.server.root, path), old);
        const outcome = await withFlip({ direction, afterBytes, mask: 0x04 }, (backend) =>
          backend.write(path, chunksOf(bytes)).catch((error: unknown) => error),
        );
        const stored = await onServer(path);
        if (isHoldfastError(outcome)) {
          expect([bytes, old].some((whole) => whole.equals(stored))).toBe(true);
        } else {
          completed += 1;
          expect(outcome).toMatchObject({ sha256: sha256Hex(bytes) });
          expect(stored).toEqual(bytes);
        }
      }
      expect(completed).toBeGreaterThan(0);
    },
  );

  it('in the answers to stat and list, never gives anything but the truth or a clean error', async () => {
    const folder = parseBackendPath('/listed');
    const path = parseBackendPath('/listed/file');
    const { entry } = await dav.backend.write(path, chunksOf(sampleBytes(100)));
    let truths = 0;
    for (let afterBytes = 0; afterBytes < 1500; afterBytes += 37) {
      await withFlip({ direction: 'toClient', afterBytes, mask: 0x80 }, async (backend) => {
        const stat = await backend.stat(path).catch((error: unknown) => error);
        if (!isHoldfastError(stat)) expect(stat).toEqual(entry);
        const page = await backend.list(folder).catch((error: unknown) => error);
        if (!isHoldfastError(page)) expect(page).toEqual({ entries: [entry], total: 1 });
        truths += [stat, page].filter((outcome) => !isHoldfastError(outcome)).length;
      });
    }
    expect(truths).toBeGreaterThan(20);
  });
});

describe('a server that takes everything and says nothing', () => {
  it('ends every operation within the time limit', async () => {
    const path = parseBackendPath('/silent/file');
    await dav.backend.write(path, chunksOf(sampleBytes(4 * MIB)));
    const backend = dav.open({ timeLimitMs: 300 });
    await using file = await backend.open(path);
    await using frozen = new AsyncDisposableStack();
    frozen.defer(() => dav.server.thaw());
    dav.server.freeze();
    const calls: (() => Promise<unknown>)[] = [
      () => backend.stat(path),
      () => backend.list(parseBackendPath('/silent')),
      () => backend.open(path),
      () => backend.write(path, chunksOf(sampleBytes(10))),
      () => backend.remove(path),
      () => backend.sweep(),
      () => file.revalidate(),
      async () => {
        for await (const chunk of file.stream()) throw new Error(`${chunk.byteLength} bytes came.`);
      },
    ];
    const errors = await Promise.all(calls.map((call) => refusal(call(), 'backend_unavailable')));
    for (const error of errors) expect(error.retryable).toBe(true);
    const report = await backend.probe();
    expect(report.checks.find((check) => !check.ok)?.name).toBe('connect');
  });

  it('ends an upload that it stopped taking, and a download that it stopped sending', async () => {
    const path = parseBackendPath('/silent/stalled');
    await dav.backend.write(path, chunksOf(sampleBytes(64 * MIB)));
    const backend = dav.open({ timeLimitMs: 300 });
    await using frozen = new AsyncDisposableStack();
    frozen.defer(() => dav.proxy.resume());
    const passed = dav.proxy.bytes.toServer;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        if (dav.proxy.bytes.toServer - passed > MIB) dav.proxy.stall();
        yield Buffer.alloc(MIB);
      }
    }
    await refusal(backend.write(parseBackendPath('/silent/new'), endless()), 'backend_unavailable');
    dav.proxy.resume();
    await using file = await backend.open(path);
    const read = async (): Promise<void> => {
      for await (const chunk of file.stream()) {
        expect(chunk.byteLength).toBeGreaterThan(0);
        dav.proxy.stall();
      }
    };
    await refusal(read(), 'backend_unavailable');
  });

  it('does not count the time that a slow source takes', async () => {
    const backend = dav.open({ timeLimitMs: 300 });
    const path = parseBackendPath('/silent/slow-source');
    const passed = Promise.withResolvers<void>();
    async function* source(): AsyncGenerator<Uint8Array> {
      yield sampleBytes(10, 1);
      // Longer than the limit, by a clock of its own.
      const timer = setTimeout(() => passed.resolve(), 700);
      await passed.promise;
      clearTimeout(timer);
      yield sampleBytes(10, 2);
    }
    expect((await backend.write(path, source())).entry.size).toBe(20);
  });
});

it('reads on after connections that break at every megabyte', async () => {
  const path = parseBackendPath('/cut/file');
  const content = new RandomContent('cut', 8 * MIB);
  await dav.backend.write(path, content.stream());
  await using file = await dav.backend.open(path);
  const digest = new StreamDigest();
  let cuts = 0;
  for await (const chunk of file.stream()) {
    digest.update(chunk);
    if (digest.bytes > (cuts + 1) * MIB) {
      cuts += 1;
      dav.proxy.cut();
    }
  }
  expect(cuts).toBeGreaterThan(3);
  expect(digest.hex()).toBe(content.sha256());
  expect(await digestAt(dav.backend, path)).toBe(content.sha256());
});

it('uses connections again, and drops them when it is disposed of', async () => {
  const backend = dav.open({ ownerId: 'hub-2' });
  const path = parseBackendPath('/reused');
  await backend.write(path, chunksOf(sampleBytes(10)));
  const before = dav.proxy.accepted;
  for (let count = 0; count < 20; count += 1) await backend.stat(path);
  expect(dav.proxy.accepted - before).toBeLessThanOrEqual(1);
  await backend[Symbol.asyncDispose]();
  await refusal(backend.stat(path), 'backend_unavailable');
});

function copyOf(backend: StorageBackend): NonNullable<StorageBackend['copy']> {
  if (backend.copy === undefined) throw new Error('The backend cannot copy.');
  return backend.copy;
}
