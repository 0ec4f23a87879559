import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArchiveNames, safeName } from './archive-names.ts';

describe('safeName', () => {
  it.each([
    ['/etc/hosts', 'etc/hosts'],
    ['relative/name', 'relative/name'],
    ['//a///b/', 'a/b'],
    ['/a/./b/../../../c', 'a/b/__/__/__/c'],
    ['../../etc/passwd', '__/__/etc/passwd'],
    ['C:\\Users\\ada\\plan.txt', 'C/Users/ada/plan.txt'],
    ['c:/Windows/..\\..\\x', 'c/Windows/__/__/x'],
    ['C:', 'C_'],
    ['/C:/x', 'C/x'],
    ['/C:x', 'C_x'],
    ['\\\\server\\share\\..\\x', 'server/share/__/x'],
    ['..\\..\\x', '__/__/x'],
    ['/home/a\\..\\..\\x', 'home/a_.._.._x'],
    ['/2026-03-01T12:00/log', '2026-03-01T12:00/log'],
    ['/', '_'],
    ['..', '__'],
    ['/ü/日本語', 'ü/日本語'],
  ])('maps %j to %j', (filepath, name) => {
    expect(safeName(filepath)).toBe(name);
  });

  it('never leads out of the folder, whatever the path', () => {
    const piece = fc.constantFrom('a', '..', '.', '', 'C:', 'c:x', '\\', '\\\\', '/', 'ü', '...', ' ');
    const filepath = fc.array(piece, { minLength: 1, maxLength: 12 }).map((pieces) => pieces.join(''));
    const joined = fc.array(piece, { minLength: 1, maxLength: 12 }).map((pieces) => pieces.join('/'));
    fc.assert(
      fc.property(fc.oneof(filepath, joined, fc.string()), (path) => {
        const name = safeName(path);
        expect(name).not.toMatch(/^\/|\\|^[A-Za-z]:/);
        for (const segment of name.split('/')) expect(['', '.', '..']).not.toContain(segment);
      }),
    );
  });
});

describe('ArchiveNames', () => {
  it('numbers a name that is taken', () => {
    const names = new ArchiveNames();
    expect(['/a', 'a', '//a', '/a~2'].map((path) => names.take(path))).toEqual(['a', 'a~2', 'a~3', 'a~2~2']);
  });

  it('keeps the files of a folder together whose name is a file already', () => {
    const names = new ArchiveNames();
    expect(['/a', '/a/b', '/a/c/d', '/a/c'].map((path) => names.take(path))).toEqual([
      'a',
      'a~2/b',
      'a~2/c/d',
      'a~2/c~2',
    ]);
  });

  it('never gives a name twice, and never a file where a folder is', () => {
    const segment = fc.constantFrom('a', 'b', 'a~2', 'C:', '..');
    const filepath = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}`);
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            filepath,
            filepath.map((path) => path.slice(1)),
          ),
          { maxLength: 30 },
        ),
        (paths) => {
          const names = new ArchiveNames();
          const given = paths.map((path) => names.take(path));
          expect(new Set(given).size).toBe(given.length);
          for (const file of given) {
            expect(given.filter((other) => other.startsWith(`${file}/`))).toEqual([]);
          }
        },
      ),
    );
  });

  it('stays quick when every path wants the same name', () => {
    const names = new ArchiveNames();
    const given = Array.from({ length: 4000 }, (_, slashes) => names.take(`${'/'.repeat(slashes)}a`));
    expect(given.at(-1)).toBe('a~4000');
    for (let file = 0; file < 4000; file++) names.take(`/a/${file}`);
    expect(names.take('/a/last')).toBe('a~4001/last');
  });
});
