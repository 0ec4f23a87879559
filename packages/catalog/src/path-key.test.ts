import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isInTree, pathHead, pathKey, treeRoot } from './path-key.ts';

test('the key of a path is the path itself, unless that is too long', () => {
  const full = '😀'.repeat(512);
  expect(pathKey('/a')).toEqual({ head: '/a', tail: '' });
  expect(pathKey(full)).toEqual({ head: full, tail: '' });
  // FIPS 180-4, the example "abc".
  const tail = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  expect(pathKey(`${full}abc`)).toEqual({ head: full, tail });
});

test('a shorter head leaves a longer rest', () => {
  expect(pathKey('/abc', 4)).toEqual({ head: '/abc', tail: '' });
  expect(pathKey('/😀abc', 2)).toEqual({
    head: '/😀',
    tail: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  });
});

test('different paths have different keys', () => {
  const long = fc.string({ unit: fc.constantFrom('a', '/', '😀'), minLength: 508, maxLength: 516 });
  fc.assert(
    fc.property(long, long, (a, b) => {
      expect(JSON.stringify(pathKey(a)) === JSON.stringify(pathKey(b))).toBe(a === b);
    }),
  );
});

test('the head is the first 512 characters, never half of one', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 0, maxLength: 1_500 }), (path) => {
      expect(pathHead(path)).toBe(Array.from(path).slice(0, 512).join(''));
    }),
  );
  expect(pathHead('😀'.repeat(600))).toBe('😀'.repeat(512));
});

test('the order of paths is never against the order of their heads', () => {
  const long = fc.string({ unit: fc.constantFrom('a', '/', '0', '😀'), minLength: 510, maxLength: 516 });
  const compare = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
  fc.assert(
    fc.property(long, long, (a, b) => {
      if (compare(a, b) < 0) expect(compare(pathHead(a), pathHead(b))).toBeLessThanOrEqual(0);
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
