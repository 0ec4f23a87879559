import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeTextCursor,
  decodeTimeCursor,
  decodeVersionCursor,
  encodeTextCursor,
  encodeTimeCursor,
  encodeVersionCursor,
  toPage,
} from './cursor.ts';

test('a cursor gives back the key it was made of', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), fc.uuid(), (at, id) => {
      expect(decodeTimeCursor('list', encodeTimeCursor('list', { at, id }))).toEqual({ at, id });
    }),
  );
  fc.assert(
    fc.property(fc.uuid(), fc.stringMatching(/^[0-9a-f]{64}$/), (first, second) => {
      expect(decodeTextCursor('list', encodeTextCursor('list', { first, second }))).toEqual({
        first,
        second,
      });
    }),
  );
  const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));
  fc.assert(
    fc.property(text, text, fc.maxSafeNat(), (hostname, filepath, version) => {
      const key = { hostname, filepath, version };
      expect(decodeVersionCursor('list', encodeVersionCursor('list', key))).toEqual(key);
    }),
  );
});

test('whatever is not a cursor of the list is refused by name', () => {
  const refusal = expect.objectContaining({
    code: 'invalid_request',
    errors: [expect.objectContaining({ field: 'cursor' })],
  });
  const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const malformed = [
    '',
    'x',
    '%%%',
    'null',
    encodeTimeCursor('other', { at: 1, id: 'id' }),
    encodeTextCursor('list', { first: 'a', second: 'b' }),
    encoded(null),
    encoded({ 0: 'list' }),
    encoded(['list', 1]),
    encoded(['list', 1, 'id', 'more']),
    encoded(['list', 1.5, 'id']),
    encoded(['list', 2 ** 60, 'id']),
    encoded(['list', 1, 'nul\0']),
    encoded(['list', 1, '\ud800']),
    encoded(['list', 1, { id: 'id' }]),
  ];
  for (const cursor of malformed) expect(() => decodeTimeCursor('list', cursor), cursor).toThrow(refusal);
  for (const parts of [
    ['h', '/p'],
    ['h', '/p', '1'],
    ['h', '/p', 1, 2],
    ['h', 1, 1],
    ['h', '/\0', 1],
  ]) {
    expect(() => decodeVersionCursor('list', encoded(['list', ...parts]))).toThrow(refusal);
  }
  fc.assert(
    fc.property(fc.string(), (cursor) => {
      expect(() => decodeTimeCursor('list', cursor)).toThrow(refusal);
      expect(() => decodeTextCursor('list', cursor)).toThrow(refusal);
      expect(() => decodeVersionCursor('list', cursor)).toThrow(refusal);
    }),
  );
});

test('a page has a cursor only when there is more', () => {
  const page = (fetched: number[]) => toPage(fetched, 2, String, (row) => `after ${row}`);
  expect(page([])).toEqual({ rows: [] });
  expect(page([1, 2])).toEqual({ rows: ['1', '2'] });
  expect(page([1, 2, 3])).toEqual({ rows: ['1', '2'], nextCursor: 'after 2' });
});
