import { isHoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  isReservedName,
  isRoot,
  isWithin,
  joinBackendPath,
  nameOf,
  parentOf,
  parseBackendPath,
  ROOT,
  segmentsOf,
} from './backend-path.ts';
import type { BackendPath } from './backend-path.ts';

function refusal(input: unknown, field?: string) {
  try {
    parseBackendPath(input, field);
  } catch (error) {
    if (isHoldfastError(error, 'invalid_path')) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(input)} was accepted`);
}

/** Texts that are near the rules: separators, dots, control characters, forms of the reserved name. */
const nastyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.constantFrom(
        '/',
        '//',
        '.',
        '..',
        '\\',
        '\0',
        '\n',
        '%2e',
        '%2f',
        'a',
        'é',
        'e\u0301',
        '\ud800',
        '.holdfast',
        '.HoldFast',
        '.holdfa\ufb06',
        '\uff0eholdfast',
        '.hold\u200bfast',
        '․holdfast',
        '…',
        '‥',
        ' ',
      ),
      { maxLength: 12 },
    )
    .map((parts) => parts.join('')),
);

describe('parseBackendPath', () => {
  it('brings every spelling of a path to one form', () => {
    expect(parseBackendPath('a/b')).toBe('/a/b');
    expect(parseBackendPath('/a/b/')).toBe('/a/b');
    expect(parseBackendPath('//a///b//')).toBe('/a/b');
    expect(parseBackendPath('')).toBe('/');
    expect(parseBackendPath('///')).toBe(ROOT);
  });

  it('keeps percent signs, spaces, dots and both normal forms of Unicode as they are', () => {
    for (const name of [
      '100%',
      '%2e%2e',
      'a b',
      '...',
      '.hidden',
      'é',
      'e\u0301',
      '#?&+;:',
      ' ',
      '.holdfast2',
    ]) {
      expect(parseBackendPath(`/x/${name}`)).toBe(`/x/${name}`);
    }
  });

  it.each([
    ['..', '".."'],
    ['/a/../b', '".."'],
    ['/a/.', '"."'],
    ['a\0b', 'control characters'],
    ['a\nb', 'control characters'],
    ['a\u007fb', 'control characters'],
    ['a\\b', 'backslash'],
    ['a\ud800b', 'well-formed'],
    ['x'.repeat(256), '255 bytes'],
    ['é'.repeat(128), '255 bytes'],
    ['/abc'.repeat(1025), '4096 bytes'],
    ['/ééé'.repeat(600), '4096 bytes'],
    ['.holdfast', 'reserved'],
    ['//.HOLDFAST/x', 'reserved'],
    ['\uff0eho\uff4cdfast', 'reserved'],
    ['.holdfa\ufb06', 'reserved'],
    ['.hold\u200bfast', 'reserved'],
    [7, 'must be a text'],
    [undefined, 'must be a text'],
  ])('refuses %j and says why', (input, reason) => {
    const error = refusal(input, 'source_path');
    expect(error.message).toContain(reason);
    expect(error.errors).toHaveLength(1);
    expect(error.errors?.[0]?.field).toBe('source_path');
    expect(error.errors?.[0]?.message).toContain(reason);
  });

  it('accepts a name of exactly 255 bytes, a path of exactly 4096, and the reserved name further down', () => {
    expect(nameOf(parseBackendPath('x'.repeat(255)))).toHaveLength(255);
    expect(parseBackendPath('/abc'.repeat(1024))).toHaveLength(4096);
    expect(parseBackendPath('/a/.holdfast')).toBe('/a/.holdfast');
  });

  it('accepts nothing that leaves the root or enters the reserved area, and is a fixed point', () => {
    let accepted = 0;
    fc.assert(
      fc.property(nastyText, (text) => {
        let path;
        try {
          path = parseBackendPath(text);
        } catch (error) {
          if (isHoldfastError(error, 'invalid_path')) return;
          throw error;
        }
        accepted += 1;
        const onDisk = posix.join('/srv/files', path);
        expect(onDisk === '/srv/files/' || onDisk.startsWith('/srv/files/')).toBe(true);
        expect(posix.normalize(path)).toBe(path);
        const top = onDisk.slice('/srv/files/'.length).split('/')[0] ?? '';
        expect(top.normalize('NFKC').toLowerCase()).not.toBe('.holdfast');
        expect(parseBackendPath(path)).toBe(path);
        const rebuilt = segmentsOf(path).reduce<BackendPath>(
          (parent, name) => joinBackendPath(parent, name),
          ROOT,
        );
        expect(rebuilt).toBe(path);
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});

describe('walking paths', () => {
  it('names parents, names and segments', () => {
    const path = parseBackendPath('/a/b');
    expect(parentOf(path)).toBe('/a');
    expect(parentOf(parentOf(path))).toBe(ROOT);
    expect(parentOf(ROOT)).toBe(ROOT);
    expect(nameOf(path)).toBe('b');
    expect(nameOf(ROOT)).toBe('');
    expect(segmentsOf(path)).toEqual(['a', 'b']);
    expect(segmentsOf(ROOT)).toEqual([]);
    expect(isRoot(ROOT)).toBe(true);
    expect(isRoot(path)).toBe(false);
  });

  it('compares by whole segments', () => {
    const folder = parseBackendPath('/a');
    expect(isWithin(parseBackendPath('/a/b'), folder)).toBe(true);
    expect(isWithin(folder, folder)).toBe(true);
    expect(isWithin(parseBackendPath('/ab'), folder)).toBe(false);
    expect(isWithin(folder, parseBackendPath('/a/b'))).toBe(false);
    expect(isWithin(folder, ROOT)).toBe(true);
  });

  it('joins one name only', () => {
    expect(joinBackendPath(ROOT, 'a')).toBe('/a');
    expect(joinBackendPath(parseBackendPath('/a'), 'b c')).toBe('/a/b c');
    for (const name of ['', '.', '..', 'a/b', 'a\\b', 'a\0']) {
      expect(() => joinBackendPath(ROOT, name)).toThrow(/not allowed/);
    }
    expect(() => joinBackendPath(ROOT, '.Holdfast')).toThrow(/reserved/);
  });

  it('tells the reserved name from its neighbours', () => {
    expect(isReservedName('.holdfast')).toBe(true);
    expect(isReservedName('holdfast')).toBe(false);
    expect(isReservedName('.holdfasts')).toBe(false);
  });
});
