import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { RandomContent } from '@holdfast/test-support/random-file';
import { describe, expect, it } from 'vitest';
import { chunksOf, digestAt, sampleBytes } from '../../conformance/sample-bytes.ts';
import { refusal } from '../../conformance/subject.ts';
import type { S3Backend } from '../../s3.ts';
import type { S3Bench } from './s3-bench.ts';

const MIB = 1024 ** 2;
const largeBytes = 256 * MIB;
const path = parseBackendPath('/folder/file');

/** The content, with something done when half of it has been taken. */
async function* interrupted(
  content: RandomContent,
  at: number,
  action: () => Promise<void>,
): AsyncGenerator<Buffer> {
  yield* content.pieces(0, at);
  await action();
  yield* content.pieces(at);
}

/** One call of every operation. */
function everyOperation(backend: S3Backend): [name: string, run: () => Promise<unknown>][] {
  const other = parseBackendPath('/other');
  return [
    ['stat', () => backend.stat(path)],
    ['list', () => backend.list(ROOT)],
    ['open', () => backend.open(path)],
    ['write', () => backend.write(other, chunksOf(sampleBytes(10)))],
    ['remove', () => backend.remove(path)],
    ['move', () => backend.move(path, other)],
    ['copy', () => backend.copy(path, other)],
    ['makeFolder', () => backend.makeFolder(other)],
    ['sweep', () => backend.sweep()],
  ];
}

/** A server that dies, hangs, or comes back. */
export function describeFaults(bench: () => S3Bench): void {
  describe('when the server is killed in the middle of a large transfer', () => {
    it('and is back, a write goes on, and a read goes on', async () => {
      const { server } = bench();
      const bucket = await bench().bucket();
      const content = new RandomContent('large', largeBytes);
      const sha256 = content.sha256();
      let restarted: Promise<void> | undefined;
      const source = interrupted(content, largeBytes / 2, async () => {
        await server.kill();
        restarted = server.restart();
      });
      const written = await bucket.backend.write(path, source, {
        expectedSize: largeBytes,
        expectedSha256: sha256,
      });
      await restarted;
      expect(written).toMatchObject({ sha256, entry: { size: largeBytes } });
      expect(await bucket.uploads()).toEqual([]);

      await using file = await bucket.backend.open(path);
      const digest = new StreamDigest();
      for await (const chunk of file.stream()) {
        const before = digest.bytes;
        digest.update(chunk);
        if (before < largeBytes / 2 && digest.bytes >= largeBytes / 2) {
          await server.kill();
          restarted = server.restart();
        }
      }
      await restarted;
      expect(digest.bytes).toBe(largeBytes);
      expect(digest.hex()).toBe(sha256);
    }, 180_000);

    it('and stays away, a write fails clearly, publishes nothing, and leaves what a sweep removes', async () => {
      const { server } = bench();
      const bucket = await bench().bucket();
      const backend = bucket.other({ timeoutMs: 500 });
      await backend.write(path, chunksOf(sampleBytes(10)));
      const content = new RandomContent('lost', 64 * MIB);
      const write = backend.write(
        path,
        interrupted(content, 32 * MIB, () => server.kill()),
      );
      const error = await refusal(write, 'backend_unavailable');
      expect(error.retryable).toBe(true);
      await backend[Symbol.asyncDispose]();
      await server.restart();
      expect((await bucket.backend.stat(path)).size).toBe(10);
      expect(await bucket.uploads()).toHaveLength(1);
      expect((await bucket.other({ ownerId: 'hub-2' }).sweep()).removed).toBe(0);
      expect((await bucket.backend.sweep()).removed).toBe(1);
      expect(await bucket.uploads()).toEqual([]);
      expect(await bucket.keys()).toEqual(['folder/file']);
    }, 120_000);

    it('and stays away, a read fails clearly', async () => {
      const { server } = bench();
      const bucket = await bench().bucket();
      const backend = bucket.other({ timeoutMs: 500 });
      await backend.write(path, chunksOf(sampleBytes(16 * MIB)));
      await using file = await backend.open(path);
      const read = async (): Promise<void> => {
        for await (const chunk of file.stream()) if (chunk.byteLength > 0) await server.kill();
      };
      await refusal(read(), 'backend_unavailable');
      await server.restart();
      expect(await digestAt(backend, path)).toMatch(/^[0-9a-f]{64}$/);
    }, 120_000);
  });

  describe('when the server is there but silent', () => {
    it('every operation ends with its time limit', async () => {
      const { server } = bench();
      const bucket = await bench().bucket();
      await bucket.backend.write(path, chunksOf(sampleBytes(10)));
      const backend = bucket.other({ timeoutMs: 400 });
      server.signal('SIGSTOP');
      try {
        for (const [, run] of everyOperation(backend)) await refusal(run(), 'backend_unavailable');
        const report = await backend.probe();
        expect(report.ok).toBe(false);
        expect(report.checks.find((check) => !check.ok)?.name).toBe('authenticate');
      } finally {
        server.signal('SIGCONT');
      }
      expect((await backend.stat(path)).size).toBe(10);
    }, 60_000);

    it('a transfer that was under way ends too, both ways', async () => {
      const bucket = await bench().bucket();
      const proxy = await bench().proxy();
      const backend = bucket.other({ endpoint: `http://127.0.0.1:${proxy.listenPort}`, timeoutMs: 400 });
      await backend.write(path, chunksOf(sampleBytes(20 * MIB)));
      await using file = await backend.open(path);
      const read = async (): Promise<void> => {
        for await (const chunk of file.stream()) if (chunk.byteLength > 0) proxy.stall();
      };
      await refusal(read(), 'backend_unavailable');
      proxy.resume();
      async function* source(): AsyncGenerator<Uint8Array> {
        yield sampleBytes(20 * MIB);
        proxy.stall();
        yield sampleBytes(20 * MIB);
      }
      await refusal(backend.write(path, source()), 'backend_unavailable');
      proxy.resume();
      expect((await backend.stat(path)).size).toBe(20 * MIB);
    }, 60_000);
  });

  it('lets a reader take its time: the limit is for the server alone', async () => {
    const bucket = await bench().bucket();
    const proxy = await bench().proxy();
    // Long enough for a busy server to answer in.
    const limitMs = 1500;
    const backend = bucket.other({ endpoint: `http://127.0.0.1:${proxy.listenPort}`, timeoutMs: limitMs });
    const bytes = sampleBytes(4 * MIB);
    await bucket.backend.write(path, chunksOf(bytes));
    const connections = proxy.accepted;
    await using file = await backend.open(path);
    const chunks: Uint8Array[] = [];
    for await (const chunk of file.stream()) {
      // Longer than the limit of the connection, which a timer set now can only outlive.
      if (chunks.length === 0) await new Promise((resolve) => setTimeout(resolve, 2 * limitMs));
      chunks.push(chunk);
    }
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
    expect(proxy.accepted - connections).toBeLessThanOrEqual(2);
  }, 60_000);

  it('connects again by itself after its connections were cut', async () => {
    const bucket = await bench().bucket();
    const proxy = await bench().proxy();
    const backend = bucket.other({ endpoint: `http://127.0.0.1:${proxy.listenPort}` });
    await backend.write(path, chunksOf(sampleBytes(10)));
    proxy.cut();
    expect((await backend.stat(path)).size).toBe(10);
  });

  it('refuses every operation once it is closed', async () => {
    const bucket = await bench().bucket();
    const backend = bucket.other({});
    await backend.write(path, chunksOf(sampleBytes(10)));
    await backend[Symbol.asyncDispose]();
    for (const [, run] of everyOperation(backend)) await refusal(run(), 'backend_unavailable');
  });
}
