import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evaluateConditions, parseEntityTags } from './conditional.ts';
import { httpDate } from './http-date.ts';

const etag = '"sha256:aa"';
const lastModified = new Date('2026-03-04T05:06:07.800Z');
const same = 'Wed, 04 Mar 2026 05:06:07 GMT';
const before = 'Wed, 04 Mar 2026 05:06:06 GMT';
const after = 'Wed, 04 Mar 2026 05:06:08 GMT';

function outcome(headers: Record<string, string>, method = 'GET', tag: string | undefined = etag): string {
  return evaluateConditions({ method, headers, etag: tag, lastModified });
}

test('without conditions a request proceeds', () => {
  expect(outcome({})).toBe('proceed');
  expect(outcome({ range: 'bytes=0-1' })).toBe('proceed');
});

describe('If-Match', () => {
  test.each([
    [etag, 'proceed'],
    ['*', 'proceed'],
    [`"x", ${etag}`, 'proceed'],
    [`"x,y" ,, ${etag}`, 'proceed'],
    ['"x"', 'precondition-failed'],
    [`W/${etag}`, 'precondition-failed'],
    ['sha256:aa', 'precondition-failed'],
    ['', 'precondition-failed'],
  ])('%j: %s', (value, expected) => {
    expect(outcome({ 'if-match': value })).toBe(expected);
    expect(outcome({ 'if-match': value }, 'PUT')).toBe(expected);
  });

  test('a file that is not hashed matches only the asterisk', () => {
    const conditions = { method: 'GET', etag: undefined, lastModified };
    expect(evaluateConditions({ ...conditions, headers: { 'if-match': '*' } })).toBe('proceed');
    expect(evaluateConditions({ ...conditions, headers: { 'if-match': etag } })).toBe('precondition-failed');
  });

  test('goes before If-Unmodified-Since and does not hide If-None-Match', () => {
    expect(outcome({ 'if-match': etag, 'if-unmodified-since': before })).toBe('proceed');
    expect(outcome({ 'if-match': etag, 'if-none-match': etag })).toBe('not-modified');
    expect(outcome({ 'if-match': '"x"', 'if-none-match': etag })).toBe('precondition-failed');
  });
});

test.each([
  [before, 'precondition-failed'],
  [same, 'proceed'],
  [after, 'proceed'],
  ['yesterday', 'proceed'],
])('If-Unmodified-Since %j: %s', (value, expected) => {
  expect(outcome({ 'if-unmodified-since': value })).toBe(expected);
});

describe('If-None-Match', () => {
  test.each([
    [etag, 'not-modified'],
    [`W/${etag}`, 'not-modified'],
    [`"x", W/${etag}`, 'not-modified'],
    ['*', 'not-modified'],
    ['"x"', 'proceed'],
    ['sha256:aa', 'proceed'],
  ])('%j: %s', (value, expected) => {
    expect(outcome({ 'if-none-match': value })).toBe(expected);
    expect(outcome({ 'if-none-match': value }, 'HEAD')).toBe(expected);
  });

  test('a match fails a write', () => {
    expect(outcome({ 'if-none-match': '*' }, 'PUT')).toBe('precondition-failed');
    expect(outcome({ 'if-none-match': etag }, 'DELETE')).toBe('precondition-failed');
    expect(outcome({ 'if-none-match': '"x"' }, 'POST')).toBe('proceed');
  });

  test('goes before If-Modified-Since', () => {
    expect(outcome({ 'if-none-match': '"x"', 'if-modified-since': after })).toBe('proceed');
    expect(outcome({ 'if-none-match': etag, 'if-modified-since': before })).toBe('not-modified');
  });
});

test.each([
  [before, 'proceed'],
  [same, 'not-modified'],
  [after, 'not-modified'],
  ['Wed, 04 Mar 2026', 'proceed'],
])('If-Modified-Since %j: %s', (value, expected) => {
  expect(outcome({ 'if-modified-since': value })).toBe(expected);
  expect(outcome({ 'if-modified-since': value }, 'POST')).toBe('proceed');
});

describe('If-Range', () => {
  test.each([
    [etag, 'proceed'],
    [same, 'proceed'],
    ['"x"', 'proceed-whole'],
    [`W/${etag}`, 'proceed-whole'],
    [before, 'proceed-whole'],
    [after, 'proceed-whole'],
    ['*', 'proceed-whole'],
    ['', 'proceed-whole'],
  ])('%j: %s', (value, expected) => {
    expect(outcome({ range: 'bytes=0-1', 'if-range': value })).toBe(expected);
  });

  test('counts only with Range, and after the others', () => {
    expect(outcome({ 'if-range': '"x"' })).toBe('proceed');
    expect(outcome({ range: 'bytes=0-1', 'if-range': '"x"', 'if-none-match': etag })).toBe('not-modified');
  });

  test('an entity tag never matches a file that is not hashed', () => {
    const headers = { range: 'bytes=0-1', 'if-range': '"undefined"' };
    expect(evaluateConditions({ method: 'GET', headers, etag: undefined, lastModified })).toBe(
      'proceed-whole',
    );
  });
});

test('the dates the hub writes match its own file', () => {
  fc.assert(
    fc.property(fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true }), (date) => {
      const input = { method: 'GET', etag: undefined, lastModified: date };
      const written = httpDate(date);
      expect(evaluateConditions({ ...input, headers: { 'if-modified-since': written } })).toBe(
        'not-modified',
      );
      expect(evaluateConditions({ ...input, headers: { 'if-unmodified-since': written } })).toBe('proceed');
      expect(evaluateConditions({ ...input, headers: { 'if-range': written, range: 'bytes=0-0' } })).toBe(
        'proceed',
      );
    }),
  );
});

describe('parseEntityTags', () => {
  test('reads weak and strong tags with commas inside', () => {
    expect(parseEntityTags(' "a,b" , W/"", "\xe9",')).toEqual([
      { weak: false, opaque: '"a,b"' },
      { weak: true, opaque: '""' },
      { weak: false, opaque: '"\xe9"' },
    ]);
    expect(parseEntityTags(' * ')).toBe('*');
  });

  test.each(['', ',', 'a', '"a', 'a"', 'w/"a"', '"a" "b"', '"a""b"', '"a b"', '*, "a"', '"a", *', 'W/ "a"'])(
    'refuses %j',
    (value) => {
      expect(parseEntityTags(value)).toBeUndefined();
    },
  );

  test('lists that are written are read back', () => {
    const unit = fc.integer({ min: 0x21, max: 0xff }).filter((code) => code !== 0x22 && code !== 0x7f);
    const tag = fc.record({
      weak: fc.boolean(),
      opaque: fc.array(unit, { maxLength: 8 }).map((codes) => `"${String.fromCharCode(...codes)}"`),
    });
    fc.assert(
      fc.property(fc.array(tag, { minLength: 1, maxLength: 5 }), (tags) => {
        const value = tags.map(({ weak, opaque }) => (weak ? `W/${opaque}` : opaque)).join(', ');
        expect(parseEntityTags(value)).toEqual(tags);
      }),
    );
  });
});
