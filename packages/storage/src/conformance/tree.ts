import { ROOT } from '@holdfast/bytes/backend-path';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, sampleBytes } from './sample-bytes.ts';
import { refusal } from './subject.ts';
import type { ConformanceBench } from './subject.ts';

/** `remove`, and the operations that a backend may have: `move`, `copy`, `makeFolder`, `usage`, `countChildren`. */
export function describeTree(bench: ConformanceBench): void {
  const bytes = sampleBytes(1000, 1);
  const others = sampleBytes(1000, 2);
  const put = (...names: string[]) => bench.backend.write(bench.at(...names), chunksOf(bytes));
  const putOther = (...names: string[]) => bench.backend.write(bench.at(...names), chunksOf(others));

  describe('removes', () => {
    it('a file', async () => {
      await put('file');
      expect(await bench.backend.remove(bench.at('file'))).toBe(1);
      await refusal(bench.backend.stat(bench.at('file')), 'file_not_found');
      await refusal(bench.backend.remove(bench.at('file')), 'file_not_found');
      await refusal(bench.backend.remove(bench.at('file', 'below')), 'file_not_found');
    });

    it('a folder with all that is in it, only when asked for', async () => {
      await put('folder', 'one');
      await put('folder', 'sub', 'two');
      await put('folder-beside');
      await refusal(bench.backend.remove(bench.at('folder')), 'not_empty');
      expect(await bench.backend.remove(bench.at('folder'), { recursive: true })).toBe(
        bench.backend.capabilities.folders ? 4 : 2,
      );
      expect(await bench.names()).toEqual(['folder-beside']);
    });

    it('never the root', async () => {
      await put('file');
      await refusal(bench.backend.remove(ROOT), 'invalid_path');
      await refusal(bench.backend.remove(ROOT, { recursive: true }), 'invalid_path');
      expect(await bytesAt(bench.backend, bench.at('file'))).toEqual(bytes);
    });

    it('nothing when it is cancelled before', async () => {
      await put('folder', 'file');
      const signal = AbortSignal.abort();
      await refusal(bench.backend.remove(bench.at('folder'), { recursive: true, signal }), 'cancelled');
      expect(await bytesAt(bench.backend, bench.at('folder', 'file'))).toEqual(bytes);
    });
  });

  describe('moves, where it has the capability', () => {
    it('a file, into folders that are made', async () => {
      await put('from');
      expect(bench.backend.move !== undefined).toBe(bench.backend.capabilities.move);
      const entry = await bench.backend.move?.(bench.at('from'), bench.at('new', 'folder', 'to'));
      if (entry === undefined) return;
      expect(entry).toEqual(await bench.backend.stat(bench.at('new', 'folder', 'to')));
      expect(await bytesAt(bench.backend, bench.at('new', 'folder', 'to'))).toEqual(bytes);
      await refusal(bench.backend.stat(bench.at('from')), 'file_not_found');
    });

    it('over another file only when asked for', async () => {
      const { move } = bench.backend;
      await put('from');
      await putOther('to');
      expect(move !== undefined).toBe(bench.backend.capabilities.move);
      if (move === undefined) return;
      await refusal(move(bench.at('from'), bench.at('to')), 'already_exists');
      expect(await bytesAt(bench.backend, bench.at('to'))).toEqual(others);
      await move(bench.at('from'), bench.at('to'), { overwrite: true });
      expect(await bytesAt(bench.backend, bench.at('to'))).toEqual(bytes);
      expect(await bench.names()).toEqual(['to']);
      await refusal(move(bench.at('to'), bench.at('to')), 'already_exists');
      await move(bench.at('to'), bench.at('to'), { overwrite: true });
      expect(await bytesAt(bench.backend, bench.at('to'))).toEqual(bytes);
    });

    it('for one of eight who want the same free name', async () => {
      const { move } = bench.backend;
      const sources = Array.from({ length: 8 }, (_, index) => `from-${index}`);
      for (const source of sources) await put(source);
      expect(move !== undefined).toBe(bench.backend.capabilities.move);
      if (move === undefined) return;
      const moves = sources.map((source) => move(bench.at(source), bench.at('to')));
      const outcomes = await Promise.allSettled(moves);
      expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
      expect(await bench.names()).toHaveLength(8);
    });

    it('a folder, but not into itself', async () => {
      const { move } = bench.backend;
      await put('folder', 'sub', 'file');
      await put('file');
      expect(move !== undefined).toBe(bench.backend.capabilities.move);
      if (move === undefined || !bench.backend.capabilities.folders) return;
      await refusal(move(bench.at('folder'), bench.at('folder', 'sub', 'inside')), 'invalid_path');
      await refusal(move(bench.at('folder'), bench.at('file'), { overwrite: true }), 'not_a_directory');
      await refusal(move(bench.at('file'), bench.at('folder'), { overwrite: true }), 'is_a_directory');
      await refusal(move(bench.at('folder'), bench.at('file', 'below')), 'not_a_directory');
      await move(bench.at('folder'), bench.at('renamed'));
      expect(await bytesAt(bench.backend, bench.at('renamed', 'sub', 'file'))).toEqual(bytes);
      await put('folder', 'file');
      await refusal(move(bench.at('folder'), bench.at('renamed')), 'already_exists');
      await refusal(move(bench.at('folder'), bench.at('renamed'), { overwrite: true }), 'not_empty');
    });

    it('neither what is not there nor the root', async () => {
      const { move } = bench.backend;
      await put('file');
      expect(move !== undefined).toBe(bench.backend.capabilities.move);
      if (move === undefined) return;
      await refusal(move(bench.at('none'), bench.at('to')), 'file_not_found');
      await refusal(move(bench.at('none', 'deeper'), bench.at('to')), 'file_not_found');
      await refusal(move(ROOT, bench.at('to')), 'invalid_path');
      await refusal(move(bench.at('file'), ROOT, { overwrite: true }), 'invalid_path');
    });
  });

  describe('copies, where it has the capability', () => {
    it('a file with its digest, over another only when asked for', async () => {
      const { copy } = bench.backend;
      await put('from');
      await putOther('to');
      expect(copy !== undefined).toBe(bench.backend.capabilities.copy);
      if (copy === undefined) return;
      await refusal(copy(bench.at('from'), bench.at('to')), 'already_exists');
      expect(await bytesAt(bench.backend, bench.at('to'))).toEqual(others);
      const result = await copy(bench.at('from'), bench.at('to'), { overwrite: true });
      expect(result).toMatchObject({
        sha256: sha256Hex(bytes),
        replaced: true,
        entry: { path: bench.at('to') },
      });
      expect(await bytesAt(bench.backend, bench.at('to'))).toEqual(bytes);
      expect(await bytesAt(bench.backend, bench.at('from'))).toEqual(bytes);
      expect((await copy(bench.at('from'), bench.at('new', 'folder', 'to'))).replaced).toBe(false);
    });

    it('no folder, and nothing that is not there', async () => {
      const { copy } = bench.backend;
      await put('folder', 'file');
      expect(copy !== undefined).toBe(bench.backend.capabilities.copy);
      if (copy === undefined) return;
      const expected = bench.backend.capabilities.folders ? 'is_a_directory' : 'file_not_found';
      await refusal(copy(bench.at('folder'), bench.at('to')), expected);
      await refusal(copy(bench.at('none'), bench.at('to')), 'file_not_found');
    });
  });

  describe('makes folders, where it has the capability', () => {
    it('with their parents, once', async () => {
      const { makeFolder } = bench.backend;
      expect(makeFolder !== undefined).toBe(bench.backend.capabilities.folders);
      if (makeFolder === undefined) return;
      const entry = await makeFolder(bench.at('one', 'two', 'three'));
      expect(entry).toMatchObject({ name: 'three', type: 'directory', size: 0 });
      expect((await bench.backend.list(bench.at('one', 'two', 'three'))).entries).toEqual([]);
      await refusal(makeFolder(bench.at('one', 'two', 'three')), 'already_exists');
      await refusal(makeFolder(bench.at('one')), 'already_exists');
      await refusal(makeFolder(ROOT), 'already_exists');
      expect(await bench.backend.remove(bench.at('one', 'two', 'three'))).toBe(1);
    });

    it('not where a file is', async () => {
      const { makeFolder } = bench.backend;
      await put('file');
      expect(makeFolder !== undefined).toBe(bench.backend.capabilities.folders);
      if (makeFolder === undefined) return;
      await refusal(makeFolder(bench.at('file')), 'already_exists');
      await refusal(makeFolder(bench.at('file', 'below')), 'not_a_directory');
    });
  });

  it('counts children and tells its usage, where it can', async () => {
    await put('one');
    await put('sub', 'two');
    const { countChildren, usage } = bench.backend;
    if (countChildren !== undefined) {
      expect(await countChildren(bench.folder)).toBe(2);
      await refusal(countChildren(bench.at('none')), 'file_not_found');
    }
    expect(usage !== undefined).toBe(bench.backend.capabilities.usage);
    const numbers = await usage?.();
    if (numbers === undefined) return;
    expect(numbers.usedBytes).toBeGreaterThan(0);
    expect(numbers.totalBytes).toBeGreaterThanOrEqual(numbers.usedBytes);
  });
}
