import { HoldfastError } from '@holdfast/contract/errors';
import { describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, readAll, sampleBytes } from './sample-bytes.ts';
import { refusal, requireRefusal } from './subject.ts';
import type { ConformanceBench } from './subject.ts';

const CHUNK = 256 * 1024;

/** What `open` and `stat` give, and what they refuse. */
export function describeReading(bench: ConformanceBench): void {
  describe('reads ranges', () => {
    it('at every edge', async () => {
      const bytes = sampleBytes(2 * CHUNK + 3, 5);
      const size = bytes.byteLength;
      await bench.backend.write(bench.at('file'), chunksOf(bytes));
      await using file = await bench.backend.open(bench.at('file'));
      const places = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, size - 1, size];
      for (const start of places) {
        for (const end of places.filter((place) => place >= start)) {
          expect((await readAll(file, { start, end })).equals(bytes.subarray(start, end))).toBe(true);
        }
      }
    });

    it('of an empty file', async () => {
      await bench.backend.write(bench.at('empty'), chunksOf(Buffer.alloc(0)));
      await using file = await bench.backend.open(bench.at('empty'));
      expect(await readAll(file)).toEqual(Buffer.alloc(0));
      expect(await readAll(file, { start: 0, end: 0 })).toEqual(Buffer.alloc(0));
    });

    it('and refuses those that the file does not have', async () => {
      await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(10)));
      await using file = await bench.backend.open(bench.at('file'));
      for (const range of [
        { start: 0, end: 11 },
        { start: -1, end: 5 },
        { start: 6, end: 5 },
        { start: 0.5, end: 5 },
        { start: 0, end: Number.NaN },
      ]) {
        const read = async (): Promise<Buffer> => readAll(file, range);
        await refusal(read(), 'range_not_satisfiable');
      }
    });

    it('side by side from one open file, and after one was given up', async () => {
      const bytes = sampleBytes(3 * CHUNK, 6);
      await bench.backend.write(bench.at('file'), chunksOf(bytes));
      await using file = await bench.backend.open(bench.at('file'));
      for await (const chunk of file.stream()) {
        expect(chunk.byteLength).toBeGreaterThan(0);
        break;
      }
      const ranges = [0, 1, 2].map((part) => ({ start: part * CHUNK, end: (part + 1) * CHUNK }));
      const parts = await Promise.all(ranges.map((range) => readAll(file, range)));
      expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    });

    it('with chunks that stay as they are when the next one is read', async () => {
      const bytes = sampleBytes(5 * CHUNK + 1, 8);
      await bench.backend.write(bench.at('file'), chunksOf(bytes));
      expect((await bytesAt(bench.backend, bench.at('file'))).equals(bytes)).toBe(true);
    });

    it('until it is cancelled', async () => {
      await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(4 * CHUNK)));
      await using file = await bench.backend.open(bench.at('file'));
      const controller = new AbortController();
      const read = async (): Promise<void> => {
        for await (const chunk of file.stream(undefined, { signal: controller.signal })) {
          controller.abort(chunk.byteLength);
        }
      };
      await refusal(read(), 'cancelled');
    });

    it('into a buffer of the caller, where it has the capability', async () => {
      const bytes = sampleBytes(1000, 3);
      await bench.backend.write(bench.at('file'), chunksOf(bytes));
      await using file = await bench.backend.open(bench.at('file'));
      expect(file.readInto !== undefined).toBe(bench.backend.capabilities.positionalRead);
      if (file.readInto === undefined) return;
      const buffer = Buffer.alloc(300);
      expect(await file.readInto(buffer, 500)).toBe(300);
      expect(buffer.equals(bytes.subarray(500, 800))).toBe(true);
      expect(await file.readInto(buffer, 900)).toBe(100);
      expect(buffer.subarray(0, 100).equals(bytes.subarray(900))).toBe(true);
      expect(await file.readInto(buffer, 1000)).toBe(0);
      expect(await file.readInto(buffer, 5000)).toBe(0);
    });
  });

  describe('keeps to one version of a file', () => {
    it('when the path is overwritten while it is read', async () => {
      const bytes = sampleBytes(3 * CHUNK, 1);
      await bench.backend.write(bench.at('file'), chunksOf(bytes));
      await using file = await bench.backend.open(bench.at('file'));
      const chunks: Uint8Array[] = [];
      const read = async (): Promise<void> => {
        for await (const chunk of file.stream()) {
          if (chunks.length === 0)
            await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(3 * CHUNK, 2)));
          chunks.push(chunk);
        }
      };
      // A storage that keeps no old versions may end the read, but never go on with other bytes.
      if (bench.backend.capabilities.positionalRead) await read();
      else await read().catch((error: unknown) => requireRefusal(error, 'conflict'));
      const got = Buffer.concat(chunks);
      expect(got.equals(bytes.subarray(0, got.byteLength))).toBe(true);
    });

    it('and tells by revalidate that it is unchanged', async () => {
      await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(100)));
      await using file = await bench.backend.open(bench.at('file'));
      expect(await file.revalidate()).toEqual(file.entry);
      expect(await bench.backend.stat(bench.at('file'))).toEqual(file.entry);
    });

    if (bench.options.tampering) {
      it('or that its bytes were changed in place, though the size is the same', async () => {
        await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(100, 1)));
        await using file = await bench.backend.open(bench.at('file'));
        await bench.subject.hooks?.tamper?.(bench.at('file'), sampleBytes(100, 2));
        const now = await file.revalidate();
        expect(now.size).toBe(100);
        expect(now.validator).not.toBe(file.entry.validator);
        expect((await bench.backend.stat(bench.at('file'))).validator).toBe(now.validator);
      });

      it('and fails rather than end early when the file has become shorter', async () => {
        await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(4 * CHUNK)));
        await using file = await bench.backend.open(bench.at('file'));
        await bench.subject.hooks?.tamper?.(bench.at('file'), sampleBytes(CHUNK + 1));
        await refusal(readAll(file), 'conflict');
      });
    }

    it('tells by its freshness check when the file is another one, where it can', async () => {
      const path = bench.at('folder', 'file');
      const { entry } = await bench.backend.write(path, chunksOf(sampleBytes(100)));
      const isFresh = bench.backend.freshness?.(entry);
      if (isFresh !== undefined) expect(isFresh()).toBe(true);
      const { entry: next } = await bench.backend.write(path, chunksOf(sampleBytes(100)));
      // The very same bytes: where the validator comes of the bytes (an ETag), it may stay.
      if (isFresh !== undefined) {
        expect(next.validator).not.toBe(entry.validator);
        expect(isFresh()).toBe(false);
      }
      expect(bench.backend.freshness?.(entry)).toBeUndefined();
      await bench.backend.remove(path);
      expect(bench.backend.freshness?.(next)).toBeUndefined();
    });
  });

  describe('refuses', () => {
    it('what is not there', async () => {
      await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(1)));
      for (const path of [bench.at('none'), bench.at('none', 'deeper'), bench.at('file', 'below')]) {
        await refusal(bench.backend.stat(path), 'file_not_found');
        await refusal(bench.backend.open(path), 'file_not_found');
      }
    });

    it('to open a folder', async () => {
      await bench.backend.write(bench.at('folder', 'file'), chunksOf(sampleBytes(1)));
      const expected = bench.backend.capabilities.folders ? 'is_a_directory' : 'file_not_found';
      await refusal(bench.backend.open(bench.at('folder')), expected);
    });

    it('what was cancelled before, with the reason when it is one of ours', async () => {
      await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(1)));
      await refusal(bench.backend.open(bench.at('file'), { signal: AbortSignal.abort() }), 'cancelled');
      await refusal(bench.backend.stat(bench.at('file'), { signal: AbortSignal.abort() }), 'cancelled');
      const stopping = new HoldfastError('shutting_down', 'The hub is about to stop.');
      const open = bench.backend.open(bench.at('file'), { signal: AbortSignal.abort(stopping) });
      await expect(open).rejects.toBe(stopping);
    });
  });

  it('tells the same entry by write, stat, open and list', async () => {
    const { entry } = await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(1234)));
    await using file = await bench.backend.open(bench.at('file'));
    expect(file.entry).toEqual(entry);
    expect(await bench.backend.stat(bench.at('file'))).toEqual(entry);
    expect((await bench.backend.list(bench.folder)).entries).toEqual([entry]);
    expect(entry.validator).not.toBe('');
    expect(Math.abs(entry.modifiedAt.getTime() - Date.now())).toBeLessThan(24 * 3600 * 1000);
  });
}
