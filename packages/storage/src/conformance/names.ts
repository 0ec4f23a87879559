import { describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, sampleBytes } from './sample-bytes.ts';
import { refusal } from './subject.ts';
import type { ConformanceBench } from './subject.ts';

const names = [
  'with space',
  ' leading and trailing ',
  '100%',
  '%2e%2e',
  '%2F',
  'a+b',
  '#?&+;:=@!$\'"()*,[]{}|<>^`~',
  '.leading-dot',
  '...',
  '-dash',
  'trailing.',
  'caf\u00e9',
  'nai\u0308ve',
  'файл',
  '文件.iso',
  '\u{1f4e6}.tar',
  'x'.repeat(255),
  'é'.repeat(127),
];

/** Names are raw: what was put in comes out, and nothing is decoded, folded or normalised. */
export function describeNames(bench: ConformanceBench): void {
  it.each(names)('keeps the name %j through write, stat, read, list and remove', async (name) => {
    const bytes = sampleBytes(50, name.length);
    const { entry } = await bench.backend.write(bench.at(name, name), chunksOf(bytes));
    expect(entry.name).toBe(name);
    expect((await bench.backend.stat(bench.at(name, name))).path).toBe(bench.at(name, name));
    expect((await bytesAt(bench.backend, bench.at(name, name))).equals(bytes)).toBe(true);
    const isListed = bench.options.listsDotNames || !name.startsWith('.');
    expect(await bench.names()).toEqual(isListed ? [name] : []);
    expect((await bench.backend.list(bench.at(name))).entries.map((child) => child.path)).toEqual(
      isListed ? [bench.at(name, name)] : [],
    );
    await bench.backend.remove(bench.at(name, name));
    await refusal(bench.backend.stat(bench.at(name, name)), 'file_not_found');
  });

  if (bench.options.distinctNames) {
    it.each([
      ['upper and lower case', 'Readme', 'README'],
      ['the two normal forms of Unicode', 'caf\u00e9', 'cafe\u0301'],
      ['a percent sign and what it would decode to', '%41', 'A'],
      ['a plus and a space', 'a+b', 'a b'],
    ])('takes names that differ by %s for different files', async (_what, one, other) => {
      await bench.backend.write(bench.at(one), chunksOf(Buffer.from('one')));
      await refusal(bench.backend.stat(bench.at(other)), 'file_not_found');
      await bench.backend.write(bench.at(other), chunksOf(Buffer.from('other')), { ifAbsent: true });
      expect((await bytesAt(bench.backend, bench.at(one))).toString()).toBe('one');
      expect((await bytesAt(bench.backend, bench.at(other))).toString()).toBe('other');
      expect(await bench.names()).toEqual([one, other].toSorted());
    });
  }

  describe('goes deep', () => {
    it('to 40 levels', async () => {
      const levels = Array.from({ length: 40 }, (_, index) => `level ${index}`);
      const path = bench.at(...levels, 'file');
      await bench.backend.write(path, chunksOf(Buffer.from('deep')));
      expect((await bytesAt(bench.backend, path)).toString()).toBe('deep');
      const files = (await bench.listAll(bench.folder, { recursive: true })).filter(
        (entry) => entry.type === 'file',
      );
      expect(files.map((entry) => entry.path)).toEqual([path]);
    });
  });
}
