import fc from 'fast-check';
import { expect, test } from 'vitest';
import { httpDate, parseHttpDate } from './http-date.ts';

const example = new Date('1994-11-06T08:49:37Z');

test.each(['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])(
  'the form of RFC 9110 %j is read',
  (value) => {
    expect(parseHttpDate(value, new Date('2026-01-01T00:00:00Z'))).toEqual(example);
  },
);

test('a date is written as in RFC 9110, without parts of a second', () => {
  expect(httpDate(example)).toBe('Sun, 06 Nov 1994 08:49:37 GMT');
  expect(httpDate(new Date(example.getTime() + 999))).toBe('Sun, 06 Nov 1994 08:49:37 GMT');
});

test.each([
  '',
  'x',
  '784111777',
  '1994-11-06T08:49:37Z',
  'Sun, 6 Nov 1994 08:49:37 GMT',
  'Sun, 06 nov 1994 08:49:37 GMT',
  'Sun, 06 Nov 1994 08:49:37 UTC',
  'Sun, 06 Nov 1994 08:49:37',
  'Sun, 31 Feb 1994 08:49:37 GMT',
  'Sun, 00 Nov 1994 08:49:37 GMT',
  'Sun, 06 Nov 1994 24:00:00 GMT',
  'Sun, 06 Nov 1994 08:60:00 GMT',
  'Sun, 06 Nov 1994 08:49:61 GMT',
  'Xyz, 06 Nov 1994 08:49:37 GMT',
])('%j is no date', (value) => {
  expect(parseHttpDate(value)).toBeUndefined();
});

test('a year of two digits is at most 50 years ahead', () => {
  const now = new Date('2026-06-01T00:00:00Z');
  expect(parseHttpDate('Friday, 01-Jan-76 00:00:00 GMT', now)?.getUTCFullYear()).toBe(2076);
  expect(parseHttpDate('Friday, 01-Jan-77 00:00:00 GMT', now)?.getUTCFullYear()).toBe(1977);
  expect(parseHttpDate('Friday, 01-Jan-26 00:00:00 GMT', now)?.getUTCFullYear()).toBe(2026);
});

test('a leap second is the second after', () => {
  expect(parseHttpDate('Sat, 31 Dec 2016 23:59:60 GMT')).toEqual(new Date('2017-01-01T00:00:00Z'));
});

test('what is written is read back to the second', () => {
  const range = {
    min: new Date('0000-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59Z'),
    noInvalidDate: true,
  };
  fc.assert(
    fc.property(fc.date(range), (date) => {
      expect(parseHttpDate(httpDate(date))?.getTime()).toBe(Math.floor(date.getTime() / 1000) * 1000);
    }),
  );
});
