import type { BackendPath } from '@holdfast/bytes/backend-path';
import { describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, sampleBytes } from './sample-bytes.ts';
import { refusal } from './subject.ts';
import type { ConformanceBench } from './subject.ts';

/** Symlinks that others put into the storage: followed inside the root, refused where they lead out of it. */
export function describeSymlinks(bench: ConformanceBench): void {
  const bytes = sampleBytes(100, 1);
  const put = (...names: string[]) => bench.backend.write(bench.at(...names), chunksOf(bytes));
  async function link(at: BackendPath, target: string): Promise<void> {
    const plant = bench.subject.hooks?.plantSymlink;
    if (plant === undefined) throw new Error('The suite was told of symlinks, but has no hook for them.');
    await plant(at, target);
  }

  describe('follows symlinks that stay inside', () => {
    it('to files and folders, in reading and listing', async () => {
      await put('folder', 'file');
      await link(bench.at('to-file'), 'folder/file');
      await link(bench.at('to-folder'), 'folder');
      expect(await bytesAt(bench.backend, bench.at('to-file'))).toEqual(bytes);
      expect(await bytesAt(bench.backend, bench.at('to-folder', 'file'))).toEqual(bytes);
      const entries = await bench.listAll(bench.folder);
      expect(entries.map((entry) => [entry.name, entry.type, entry.size])).toEqual([
        ['folder', 'directory', 0],
        ['to-file', 'file', 100],
        ['to-folder', 'directory', 0],
      ]);
      const all = await bench.listAll(bench.folder, { recursive: true });
      expect(all.map((entry) => entry.path)).toEqual([
        bench.at('folder'),
        bench.at('folder', 'file'),
        bench.at('to-file'),
        bench.at('to-folder'),
      ]);
    });

    it('into folders in writing, and replaces a link at the path itself', async () => {
      await put('folder', 'file');
      await link(bench.at('to-folder'), 'folder');
      await link(bench.at('to-file'), 'folder/file');
      await put('to-folder', 'new');
      expect(await bytesAt(bench.backend, bench.at('folder', 'new'))).toEqual(bytes);
      await bench.backend.write(bench.at('to-file'), chunksOf(Buffer.from('new')));
      expect((await bytesAt(bench.backend, bench.at('to-file'))).toString()).toBe('new');
      expect(await bytesAt(bench.backend, bench.at('folder', 'file'))).toEqual(bytes);
    });

    it('and removes the link, never what it points to', async () => {
      await put('kept', 'file');
      await put('folder', 'file');
      await link(bench.at('folder', 'link'), '../kept');
      await link(bench.at('link'), 'kept');
      expect(await bench.backend.remove(bench.at('link'), { recursive: true })).toBe(1);
      expect(await bench.backend.remove(bench.at('folder'), { recursive: true })).toBe(3);
      expect(await bytesAt(bench.backend, bench.at('kept', 'file'))).toEqual(bytes);
    });

    it('and does not let a move lose the file that a link points to', async () => {
      await put('file');
      await link(bench.at('link'), 'file');
      const { move } = bench.backend;
      if (move !== undefined) {
        await refusal(move(bench.at('link'), bench.at('file'), { overwrite: true }), 'conflict');
      }
      expect(await bytesAt(bench.backend, bench.at('file'))).toEqual(bytes);
    });
  });

  describe('refuses symlinks that lead out of the root or into the reserved area', () => {
    it.each(['/etc', '../../../../../../../../etc', '/', '../.holdfast', '..'])('to %s', async (target) => {
      await put('file');
      await link(bench.at('out'), target);
      const isRootItself = target === '..';
      const inside = isRootItself ? ['.holdfast', 'volume.json'] : ['hostname'];
      const below = bench.at('out', ...inside);
      await refusal(bench.backend.stat(below), 'invalid_path', 'file_not_found');
      await refusal(bench.backend.open(below), 'invalid_path', 'file_not_found');
      await refusal(bench.backend.write(below, chunksOf(bytes)), 'invalid_path');
      await refusal(
        bench.backend.write(bench.at('out', '.holdfast', 'x', 'y'), chunksOf(bytes)),
        'invalid_path',
      );
      const { move, copy, makeFolder } = bench.backend;
      if (move !== undefined) await refusal(move(bench.at('file'), below), 'invalid_path');
      if (copy !== undefined) await refusal(copy(bench.at('file'), below), 'invalid_path');
      if (makeFolder !== undefined) await refusal(makeFolder(below), 'invalid_path');
      await refusal(bench.backend.remove(below), 'invalid_path');
      if (!isRootItself) {
        await refusal(bench.backend.stat(bench.at('out')), 'invalid_path');
        await refusal(bench.backend.list(bench.at('out')), 'invalid_path');
        await refusal(
          bench.backend.write(bench.at('out'), chunksOf(bytes)),
          'invalid_path',
          'is_a_directory',
        );
        expect(await bench.names()).toEqual(['file']);
      } else {
        const listed = await bench.listAll(bench.at('out'));
        expect(listed.map((entry) => entry.name)).not.toContain('.holdfast');
      }
      expect(await bytesAt(bench.backend, bench.at('file'))).toEqual(bytes);
      expect(await bench.backend.remove(bench.at('out'))).toBe(1);
    });
  });

  it('takes broken symlinks for nothing, and circles for a bad path', async () => {
    await put('file');
    await link(bench.at('broken'), 'none');
    await link(bench.at('circle'), 'circle');
    await refusal(bench.backend.stat(bench.at('broken')), 'file_not_found');
    await refusal(bench.backend.open(bench.at('broken')), 'file_not_found');
    await refusal(bench.backend.open(bench.at('circle')), 'invalid_path');
    expect(await bench.names()).toEqual(['file']);
    await put('broken');
    expect(await bytesAt(bench.backend, bench.at('broken'))).toEqual(bytes);
  });
}
