import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { ProxyDirection, TcpProxy } from '@holdfast/test-support/tcp-proxy';
import { describe, expect, it } from 'vitest';
import type { WriteOptions } from '../../backend.ts';
import { bytesAt, chunksOf, sampleBytes } from '../../conformance/sample-bytes.ts';
import type { S3Backend } from '../../s3.ts';
import type { S3Bench, TestBucket } from './s3-bench.ts';

const MIB = 1024 ** 2;
const path = parseBackendPath('/file');
const key = 'file';

async function behindProxy(
  bench: S3Bench,
): Promise<{ bucket: TestBucket; proxy: TcpProxy; backend: S3Backend }> {
  const bucket = await bench.bucket();
  const proxy = await bench.proxy();
  const endpoint = `http://127.0.0.1:${proxy.listenPort}`;
  return { bucket, proxy, backend: bucket.other({ endpoint, timeoutMs: 1000 }) };
}

/** Bytes that are changed on their way, in either direction. */
export function describeIntegrity(bench: () => S3Bench): void {
  /** A write under a flip: either it tells the bytes that the server has, or it fails and nothing is there. */
  async function writeUnderFlip(
    setUp: Awaited<ReturnType<typeof behindProxy>>,
    bytes: Buffer,
    flip: { direction: ProxyDirection; afterBytes: number },
    options: WriteOptions = {},
  ): Promise<'stored' | 'refused'> {
    const { bucket, proxy, backend } = setUp;
    void proxy.flipByte(flip);
    const outcome = await backend.write(path, chunksOf(bytes, MIB), options).catch((error: unknown) => error);
    if (isHoldfastError(outcome)) {
      // After a lost answer nobody can say; but what is there is never anything else than the very bytes.
      if ((await bucket.keys()).includes(key)) expect((await bucket.get(key)).equals(bytes)).toBe(true);
      return 'refused';
    }
    expect(outcome).toMatchObject({ sha256: sha256Hex(bytes), entry: { size: bytes.byteLength } });
    expect((await bucket.get(key)).equals(bytes)).toBe(true);
    return 'stored';
  }

  describe('a byte flipped on its way to the server', () => {
    it('is caught wherever it is in a small write', async () => {
      const setUp = await behindProxy(bench());
      const bytes = sampleBytes(5000, 3);
      const outcomes: string[] = [];
      for (const afterBytes of [0, 5, 40, 200, 450, 700, 900, 1500, 2500, 3500, 4500, 6000, 7500]) {
        outcomes.push(await writeUnderFlip(setUp, bytes, { direction: 'toServer', afterBytes }));
      }
      // Most are set right by another try.
      expect(outcomes.filter((outcome) => outcome === 'stored').length).toBeGreaterThan(outcomes.length / 2);
    }, 120_000);

    it.each([
      ['known before', true],
      ['not known before', false],
    ])(
      'is caught in the parts of a large write whose SHA-256 is %s',
      async (_what, isKnown) => {
        const setUp = await behindProxy(bench());
        const bytes = sampleBytes(20 * MIB, 5);
        const options = isKnown ? { expectedSha256: sha256Hex(bytes) } : {};
        for (const afterBytes of [3 * MIB, 9 * MIB + 17, 18 * MIB]) {
          const flip = { direction: 'toServer', afterBytes } as const;
          expect(await writeUnderFlip(setUp, bytes, flip, options)).toBe('stored');
        }
        expect(await setUp.bucket.keys()).toEqual([key]);
        expect(await setUp.bucket.uploads()).toEqual([]);
      },
      120_000,
    );
  });

  describe('a byte flipped on its way back', () => {
    it('never makes a write tell what is not so', async () => {
      const setUp = await behindProxy(bench());
      const bytes = sampleBytes(5000, 3);
      for (const afterBytes of [0, 9, 30, 80, 150, 250, 400, 600, 800, 1000, 1300, 1700]) {
        const outcome = await writeUnderFlip(setUp, bytes, { direction: 'toClient', afterBytes });
        expect(['stored', 'refused']).toContain(outcome);
      }
    }, 120_000);

    it('ends other operations cleanly: with an answer, or an error of ours', async () => {
      const { bucket, proxy, backend } = await behindProxy(bench());
      const bytes = sampleBytes(100_000, 3);
      await bucket.put(key, bytes);
      const operations: (() => Promise<unknown>)[] = [
        () => backend.stat(path),
        () => backend.list(ROOT),
        () => backend.list(ROOT, { recursive: true }),
        () => bytesAt(backend, path),
        () => backend.probe(),
      ];
      for (const run of operations) {
        for (const afterBytes of [0, 12, 60, 120, 200, 300, 450, 700]) {
          void proxy.flipByte({ direction: 'toClient', afterBytes });
          const outcome = await run().catch((error: unknown) => error);
          if (outcome instanceof Error) expect(isHoldfastError(outcome)).toBe(true);
        }
      }
      expect((await bytesAt(backend, path)).equals(bytes)).toBe(true);
    }, 120_000);

    it.each([
      ['small', 1000, false],
      ['large with a SHA-256 that is known before', 12 * MIB, true],
      ['large', 12 * MIB, false],
    ])(
      'of the answer that publishes a %s write does not lose it, even where the path must be free',
      async (_what, size, isKnown) => {
        const { bucket, proxy, backend } = await behindProxy(bench());
        const bytes = sampleBytes(size, 7);
        const result = await backend.write(path, chunksOf(bytes, MIB), {
          ifAbsent: true,
          ...(isKnown ? { expectedSha256: sha256Hex(bytes) } : {}),
          // Called just before the bytes are published: the next answer is the one that tells of it.
          precondition: () => void proxy.flipByte({ direction: 'toClient', afterBytes: 0 }),
        });
        expect(result).toMatchObject({ sha256: sha256Hex(bytes), replaced: false });
        expect((await bucket.get(key)).equals(bytes)).toBe(true);
        expect(await bucket.keys()).toEqual([key]);
      },
      60_000,
    );
  });
}
