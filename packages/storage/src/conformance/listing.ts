import { joinBackendPath, nameOf, parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { describe, expect, it } from 'vitest';
import { chunksOf, sampleBytes } from './sample-bytes.ts';
import { refusal } from './subject.ts';
import type { ConformanceBench } from './subject.ts';

const parallelWrites = 16;

/** What `list` shows, in which order, and page by page. */
export function describeListing(bench: ConformanceBench): void {
  async function fill(folder: BackendPath, names: readonly string[]): Promise<void> {
    if (bench.subject.seed !== undefined) return bench.subject.seed(folder, names);
    for (let start = 0; start < names.length; start += parallelWrites) {
      const batch = names.slice(start, start + parallelWrites);
      await Promise.all(
        batch.map((name) => bench.backend.write(joinBackendPath(folder, name), chunksOf(sampleBytes(1)))),
      );
    }
  }

  /** Names and folders whose order by path is not the order of a plain walk: `-`, `.` and `!` sort before `/`. */
  const tree = [
    'a!',
    'a-b',
    'a.b',
    'a/b',
    'a/b-c/d',
    'a/b.c',
    'a/c/d/e',
    'a0',
    'aa',
    'B',
    '~',
    'ä',
    '\u{1f600}',
  ];

  async function plantTree(): Promise<string[]> {
    for (const path of tree) {
      await bench.backend.write(parseBackendPath(`${bench.folder}/${path}`), chunksOf(sampleBytes(1)));
    }
    const folders = bench.backend.capabilities.folders ? ['a', 'a/b-c', 'a/c', 'a/c/d'] : [];
    return [...tree, ...folders].map((path) => `${bench.folder}/${path}`).toSorted();
  }

  describe('lists one folder', () => {
    it('in the order of names by code units, folders among files', async () => {
      await plantTree();
      const { entries, nextCursor } = await bench.backend.list(bench.folder);
      const expected = [...new Set(tree.map((path) => path.replace(/\/.*/, '')))].toSorted();
      expect(entries.map((entry) => entry.name)).toEqual(expected);
      expect(nextCursor).toBeUndefined();
      const folder = entries.find((entry) => entry.name === 'a');
      expect(folder).toMatchObject({ type: 'directory', size: 0, validator: '', path: bench.at('a') });
    });

    it('of 10,000 entries by cursor: each once, in order', async () => {
      const names = Array.from({ length: 10_000 }, (_, index) => `file-${(index * 7919) % 10_000}.bin`);
      await fill(bench.folder, names);
      const seen: string[] = [];
      let pages = 0;
      for (let cursor: string | undefined; ;) {
        const page = await bench.backend.list(bench.folder, {
          limit: 999,
          ...(cursor === undefined ? {} : { cursor }),
        });
        if (page.total !== undefined) expect(page.total).toBe(10_000);
        expect(page.entries.length).toBeLessThanOrEqual(999);
        seen.push(...page.entries.map((entry) => entry.name));
        pages += 1;
        cursor = page.nextCursor;
        if (cursor === undefined) break;
      }
      expect(pages).toBe(11);
      expect(seen).toEqual(names.toSorted());
      expect((await bench.backend.list(bench.folder)).entries).toHaveLength(100);
      if (bench.backend.countChildren !== undefined) {
        expect(await bench.backend.countChildren(bench.folder)).toBe(10_000);
      }
    }, 600_000);

    it('without a further page when the last one is just full', async () => {
      await fill(bench.folder, ['a', 'b', 'c', 'd']);
      const first = await bench.backend.list(bench.folder, { limit: 2 });
      expect(first.entries.map((entry) => entry.name)).toEqual(['a', 'b']);
      const second = await bench.backend.list(bench.folder, { limit: 2, cursor: first.nextCursor ?? '' });
      expect(second.entries.map((entry) => entry.name)).toEqual(['c', 'd']);
      expect(second.nextCursor).toBeUndefined();
    });

    it('goes on in the right place when files come and go between pages', async () => {
      await fill(bench.folder, ['b', 'd', 'f', 'h']);
      const first = await bench.backend.list(bench.folder, { limit: 2 });
      await bench.backend.remove(bench.at('d'));
      await fill(bench.folder, ['a', 'e']);
      const second = await bench.backend.list(bench.folder, { limit: 10, cursor: first.nextCursor ?? '' });
      expect(second.entries.map((entry) => entry.name)).toEqual(['e', 'f', 'h']);
    });
  });

  describe('lists a whole tree', () => {
    it('in the order of paths by code units', async () => {
      const expected = await plantTree();
      const entries = await bench.listAll(bench.folder, { recursive: true });
      expect(
        entries
          .filter((entry) => entry.type === 'file' || bench.backend.capabilities.folders)
          .map((entry) => entry.path),
      ).toEqual(expected);
      for (const entry of entries) expect(entry.name).toBe(nameOf(entry.path));
    });

    it('the same with pages of any size', async () => {
      await plantTree();
      const whole = (await bench.listAll(bench.folder, { recursive: true, limit: 1000 })).map(
        (entry) => entry.path,
      );
      for (const limit of [1, 2, 3, 5, 7]) {
        const paged = await bench.listAll(bench.folder, { recursive: true, limit });
        expect(paged.map((entry) => entry.path)).toEqual(whole);
      }
    });
  });

  describe('refuses', () => {
    it('a folder that is not there, and a file', async () => {
      await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(1)));
      await refusal(bench.backend.list(bench.at('none')), 'file_not_found');
      await refusal(bench.backend.list(bench.at('none'), { recursive: true }), 'file_not_found');
      await refusal(bench.backend.list(bench.at('file')), 'not_a_directory');
    });

    it('a page of no or too many entries', async () => {
      await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(1)));
      for (const limit of [0, -1, 1001, 1.5, Number.NaN]) {
        const error = await refusal(bench.backend.list(bench.folder, { limit }), 'validation_failed');
        expect(error.errors?.[0]?.field).toBe('limit');
      }
    });

    it('a cursor that is none, or of another folder', async () => {
      await fill(bench.at('one'), ['a', 'b']);
      await fill(bench.at('two'), ['a', 'b']);
      const { nextCursor } = await bench.backend.list(bench.at('one'), { limit: 1 });
      for (const cursor of ['', '%', 'AAAA', nextCursor ?? '']) {
        const error = await refusal(bench.backend.list(bench.at('two'), { cursor }), 'validation_failed');
        expect(error.errors?.[0]?.field).toBe('cursor');
      }
    });

    it('to go on when it is cancelled', async () => {
      await fill(bench.folder, ['a', 'b']);
      await refusal(bench.backend.list(bench.folder, { signal: AbortSignal.abort() }), 'cancelled');
    });
  });

  it('never shows the reserved area', async () => {
    await bench.backend.write(bench.at('file'), chunksOf(sampleBytes(1)));
    const top = await bench.listAll(ROOT);
    const all = await bench.listAll(ROOT, { recursive: true, limit: 1000 });
    expect(top.map((entry) => entry.name)).toContain(nameOf(bench.folder));
    expect([...top, ...all].filter((entry) => entry.path.startsWith('/.holdfast'))).toEqual([]);
    expect(all.map((entry) => entry.path)).toContain(bench.at('file'));
  }, 600_000);
}
