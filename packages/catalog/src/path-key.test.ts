import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isInTree, pathKey, sortPrefix, treeRoot } from './path-key.ts';

test('the key of a path is the SHA-256 of its UTF-8 bytes', () => {
  // FIPS 180-4, the example "abc".
  expect(pathKey('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

test('the sort prefix is the first 512 characters, never half of one', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 0, maxLength: 1_500 }), (path) => {
      expect(sortPrefix(path)).toBe([...path].slice(0, 512).join(''));
    }),
  );
  expect(sortPrefix('😀'.repeat(600))).toBe('😀'.repeat(512));
});

test('the order of paths is never against the order of their prefixes', () => {
  const long = fc.string({ unit: fc.constantFrom('a', '/', '0', '😀'), minLength: 510, maxLength: 516 });
  const compare = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
  fc.assert(
    fc.property(long, long, (a, b) => {
      if (compare(a, b) < 0) expect(compare(sortPrefix(a), sortPrefix(b))).toBeLessThanOrEqual(0);
    }),
  );
});

test('a tree ends at a segment', () => {
  expect(treeRoot('/')).toBe('');
  expect(treeRoot('/a//')).toBe('/a');
  expect(isInTree('/a', '/a')).toBe(true);
  expect(isInTree('/a', '/a/b')).toBe(true);
  expect(isInTree('/a', '/a0')).toBe(false);
  expect(isInTree('/a', '/ab')).toBe(false);
  expect(isInTree('', '/a')).toBe(true);
});
