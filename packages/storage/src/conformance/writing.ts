import { ROOT } from '@holdfast/bytes/backend-path';
import { EMPTY_SHA256, sha256Hex } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import { describe, expect, it } from 'vitest';
import type { StorageEntry } from '../backend.ts';
import { bytesAt, chunksOf, digestAt, failingAfter, sampleBytes } from './sample-bytes.ts';
import { refusal, requireRefusal } from './subject.ts';
import type { ConformanceBench } from './subject.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const edges = [64 * KIB, 256 * KIB, MIB, 2 * MIB].flatMap((edge) => [edge - 1, edge, edge + 1]);

/** What `write` stores, and what it refuses. */
export function describeWriting(bench: ConformanceBench): void {
  const old = sampleBytes(5000, 99);

  /** Puts an old file in place, runs a write that must fail, and checks that nothing has changed. */
  async function expectNoChange(write: () => Promise<void>): Promise<void> {
    const before = await bench.backend.write(bench.at('file'), chunksOf(old));
    await write();
    expect(await bench.names()).toEqual(['file']);
    expect(await bytesAt(bench.backend, bench.at('file'))).toEqual(old);
    expect((await bench.backend.stat(bench.at('file'))).validator).toBe(before.entry.validator);
  }

  describe('stores the very bytes', () => {
    it('of an empty file', async () => {
      async function* nothing(): AsyncGenerator<Uint8Array> {}
      const result = await bench.backend.write(bench.at('empty'), nothing(), { expectedSize: 0 });
      expect(result).toMatchObject({
        sha256: EMPTY_SHA256,
        replaced: false,
        entry: { size: 0, type: 'file' },
      });
      expect(await bytesAt(bench.backend, bench.at('empty'))).toEqual(Buffer.alloc(0));
    });

    it('of a source with empty chunks between', async () => {
      async function* source(): AsyncGenerator<Uint8Array> {
        for (const text of ['', 'a', '', '', 'bc', '']) yield Buffer.from(text);
      }
      const { entry } = await bench.backend.write(bench.at('file'), source(), { expectedSize: 3 });
      expect(entry.size).toBe(3);
      expect((await bytesAt(bench.backend, bench.at('file'))).toString()).toBe('abc');
    });

    it('of a source that uses one buffer again and again', async () => {
      const expected = sampleBytes(3 * MIB + 5, 4);
      async function* source(): AsyncGenerator<Uint8Array> {
        const buffer = Buffer.alloc(100_000);
        for (let start = 0; start < expected.byteLength; start += buffer.byteLength) {
          yield buffer.subarray(0, expected.copy(buffer, 0, start));
        }
      }
      const { sha256 } = await bench.backend.write(bench.at('file'), source());
      expect(sha256).toBe(sha256Hex(expected));
      expect(await digestAt(bench.backend, bench.at('file'))).toBe(sha256);
    });

    it.each([1, 4096, ...edges])('of %i bytes', async (size) => {
      const bytes = sampleBytes(size, size);
      const sha256 = sha256Hex(bytes);
      for (const chunkBytes of [64 * KIB, 100_003, 4 * MIB]) {
        const announced = { expectedSize: size, expectedSha256: sha256 };
        for (const expectations of [announced, {}]) {
          const result = await bench.backend.write(
            bench.at('file'),
            chunksOf(bytes, chunkBytes),
            expectations,
          );
          expect(result.sha256).toBe(sha256);
          expect(result.entry).toMatchObject({ size, type: 'file', name: 'file', path: bench.at('file') });
          expect(await digestAt(bench.backend, bench.at('file'))).toBe(sha256);
        }
      }
    });

    it('of 64 MiB in bounded memory', async () => {
      const chunk = sampleBytes(MIB, 7);
      let peak = 0;
      async function* source(): AsyncGenerator<Uint8Array> {
        for (let index = 0; index < 64; index += 1) {
          chunk.writeUInt32BE(index);
          peak = Math.max(peak, process.memoryUsage().arrayBuffers);
          yield chunk;
        }
      }
      const before = process.memoryUsage().arrayBuffers;
      const { entry, sha256 } = await bench.backend.write(bench.at('big'), source(), {
        expectedSize: 64 * MIB,
      });
      expect(entry.size).toBe(64 * MIB);
      expect(peak - before).toBeLessThan(40 * MIB);
      expect(await digestAt(bench.backend, bench.at('big'))).toBe(sha256);
    });
  });

  describe('replaces a file as a whole', () => {
    it('and tells so, with a new validator even for the same size', async () => {
      const first = await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(1000, 1)));
      const second = await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(1000, 2)));
      expect([first.replaced, second.replaced]).toEqual([false, true]);
      expect(second.entry.validator).not.toBe(first.entry.validator);
      expect(await bench.backend.stat(bench.at('file'))).toEqual(second.entry);
    });

    it('when several write at once: every result tells its own bytes, and one of them stays entire', async () => {
      const versions = Array.from({ length: 6 }, (_, index) => sampleBytes(300_000 + index, index + 1));
      const results = await Promise.all(
        versions.map((bytes) => bench.backend.write(bench.at('file'), chunksOf(bytes, 9999))),
      );
      for (const [index, result] of results.entries()) {
        expect(result.sha256).toBe(sha256Hex(versions[index] ?? ''));
        expect(result.entry.size).toBe(versions[index]?.byteLength);
      }
      const final = await digestAt(bench.backend, bench.at('file'));
      const { validator } = await bench.backend.stat(bench.at('file'));
      expect(results.find((result) => result.sha256 === final)?.entry.validator).toBe(validator);
      expect(await bench.names()).toEqual(['file']);
    });
  });

  describe('changes nothing', () => {
    it('when fewer bytes come than announced', () =>
      expectNoChange(async () => {
        const source = chunksOf(sampleBytes(999));
        await refusal(
          bench.backend.write(bench.at('file'), source, { expectedSize: 1000 }),
          'incomplete_body',
        );
      }));

    it('when more bytes come than announced', () =>
      expectNoChange(async () => {
        const source = chunksOf(sampleBytes(1001), 100);
        await refusal(
          bench.backend.write(bench.at('file'), source, { expectedSize: 1000 }),
          'incomplete_body',
        );
      }));

    it('when the bytes have another SHA-256', () =>
      expectNoChange(async () => {
        const options = { expectedSha256: sha256Hex('another') };
        const error = await refusal(
          bench.backend.write(bench.at('file'), chunksOf(sampleBytes(2 * MIB)), options),
          'checksum_mismatch',
        );
        expect(error.message).toContain(sha256Hex(sampleBytes(2 * MIB)));
      }));

    it('when the source fails in the middle, whose own error is passed on', () =>
      expectNoChange(async () => {
        const failure = new Error('the sender has gone');
        const write = bench.backend.write(bench.at('file'), failingAfter(sampleBytes(2 * MIB), failure));
        await expect(write).rejects.toBe(failure);
      }));

    it('when it is cancelled in the middle', () =>
      expectNoChange(async () => {
        const controller = new AbortController();
        let wasClosed = false;
        async function* source(): AsyncGenerator<Uint8Array> {
          try {
            for (let index = 0; index < 100; index += 1) {
              if (index === 20) controller.abort();
              yield sampleBytes(64 * KIB, index + 1);
            }
          } finally {
            wasClosed = true;
          }
        }
        await refusal(
          bench.backend.write(bench.at('file'), source(), { signal: controller.signal }),
          'cancelled',
        );
        expect(wasClosed).toBe(true);
      }));

    it('when it is cancelled while the source is stuck', () =>
      expectNoChange(async () => {
        const controller = new AbortController();
        async function* source(): AsyncGenerator<Uint8Array> {
          yield sampleBytes(10);
          queueMicrotask(() => controller.abort());
          await new Promise(() => {});
        }
        await refusal(
          bench.backend.write(bench.at('file'), source(), { signal: controller.signal }),
          'cancelled',
        );
      }));

    it('when it is cancelled before it starts', () =>
      expectNoChange(async () => {
        const write = bench.backend.write(bench.at('file'), chunksOf(sampleBytes(9)), {
          signal: AbortSignal.abort(),
        });
        await refusal(write, 'cancelled');
      }));

    it('when the path exists and must not', () =>
      expectNoChange(async () => {
        const write = bench.backend.write(bench.at('file'), chunksOf(sampleBytes(9)), { ifAbsent: true });
        await refusal(write, 'precondition_failed');
      }));

    it('when the precondition throws, and passes its error on', () =>
      expectNoChange(async () => {
        const refused = new HoldfastError(
          'precondition_failed',
          'The file is not the one that was asked for.',
        );
        const precondition = (): never => {
          throw refused;
        };
        const write = bench.backend.write(bench.at('file'), chunksOf(sampleBytes(9)), { precondition });
        await expect(write).rejects.toBe(refused);
      }));
  });

  describe('asks the precondition at the moment of publishing', () => {
    it('with null for a free path and the entry of a taken one', async () => {
      const seen: (StorageEntry | null)[] = [];
      const precondition = (existing: StorageEntry | null): void => void seen.push(existing);
      const first = await bench.backend.write(bench.at('file'), chunksOf(old), { precondition });
      await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(7)), { precondition });
      expect(seen).toEqual([null, first.entry]);
    });

    it('so that a file which came while the bytes were on their way is seen', async () => {
      async function* source(): AsyncGenerator<Uint8Array> {
        yield sampleBytes(10);
        await bench.backend.write(bench.at('file'), chunksOf(old));
        yield sampleBytes(10);
      }
      let seen: StorageEntry | null | undefined;
      await bench.backend.write(bench.at('file'), source(), {
        precondition: (existing) => void (seen = existing),
      });
      expect(seen?.size).toBe(old.byteLength);
    });
  });

  describe('makes a path once only', () => {
    it('for one of eight writers who want it absent', async () => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 8 }, (_, index) =>
          bench.backend.write(bench.at('once'), chunksOf(sampleBytes(70_000, index + 1)), { ifAbsent: true }),
        ),
      );
      const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
      expect(won).toHaveLength(1);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') requireRefusal(outcome.reason, 'precondition_failed');
      }
      expect(await digestAt(bench.backend, bench.at('once'))).toBe(won[0]?.value.sha256);
      expect(await bench.names()).toEqual(['once']);
    });

    it('even when the file comes while the bytes are on their way', async () => {
      async function* source(): AsyncGenerator<Uint8Array> {
        yield sampleBytes(10);
        await bench.backend.write(bench.at('file'), chunksOf(old));
      }
      await refusal(
        bench.backend.write(bench.at('file'), source(), { ifAbsent: true }),
        'precondition_failed',
      );
      expect(await bytesAt(bench.backend, bench.at('file'))).toEqual(old);
    });
  });

  describe('refuses places that are not for files', () => {
    it('the root', async () => {
      await refusal(bench.backend.write(ROOT, chunksOf(old)), 'is_a_directory', 'invalid_path');
    });

    it('a folder, and a path below a file', async () => {
      await bench.backend.write(bench.at('folder', 'file'), chunksOf(old));
      if (!bench.backend.capabilities.folders) {
        // Without real folders both are just other keys; the file itself must stay what it is.
        await bench.backend.write(bench.at('folder', 'file', 'below'), chunksOf(old));
      } else {
        await refusal(bench.backend.write(bench.at('folder'), chunksOf(old)), 'is_a_directory');
        for (const below of [['below'], ['below', 'deeper']]) {
          const write = bench.backend.write(bench.at('folder', 'file', ...below), chunksOf(old));
          await refusal(write, 'not_a_directory');
        }
      }
      expect(await bytesAt(bench.backend, bench.at('folder', 'file'))).toEqual(old);
    });
  });
}
