import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  COALESCE_GAP_BYTES,
  contentRange,
  MAX_RANGES,
  parseRangeHeader,
  unsatisfiedContentRange,
} from './ranges.ts';

const all = { kind: 'all' };
const unsatisfiable = { kind: 'unsatisfiable' };
const ranges = (...pairs: [number, number][]) => ({
  kind: 'ranges',
  ranges: pairs.map(([start, end]) => ({ start, end })),
});

describe('one range', () => {
  test.each([
    ['bytes=0-499', ranges([0, 500])],
    ['bytes=500-999', ranges([500, 1000])],
    ['bytes=9999-9999', ranges([9999, 10000])],
    ['bytes=-500', ranges([9500, 10000])],
    ['bytes=9500-', ranges([9500, 10000])],
    ['bytes=0-', ranges([0, 10000])],
    ['bytes=5-5', ranges([5, 6])],
    ['bytes=0-99999', ranges([0, 10000])],
    ['bytes=-99999', ranges([0, 10000])],
    ['bytes=007-0008', ranges([7, 9])],
    ['BYTES=1-2', ranges([1, 3])],
    ['  bytes= \t1-2\t ', ranges([1, 3])],
    ['bytes=10000-', unsatisfiable],
    ['bytes=10000-20000', unsatisfiable],
    ['bytes=-0', unsatisfiable],
  ])('%j of 10,000 bytes', (value, expected) => {
    expect(parseRangeHeader(value, 10_000)).toEqual(expected);
  });
});

test.each([
  undefined,
  '',
  'bytes',
  'bytes=',
  'bytes=,',
  'bytes=-',
  'bytes=a-b',
  'bytes=1',
  'bytes=2-1',
  'bytes=--1',
  'bytes=1-2-3',
  'bytes=1 -2',
  'bytes=+1-2',
  'bytes=1.0-2',
  'bytes=0x1-2',
  'items=0-5',
  '0-5',
  'bytes 0-5',
  'bytes=0-1,x',
  'bytes=0-1;2-3',
  'bytes=99999-5',
  'bytes=٣-٤',
])('%j is ignored', (value) => {
  expect(parseRangeHeader(value, 10_000)).toEqual(all);
});

describe('an empty file', () => {
  test('has no byte to ask for by position', () => {
    expect(parseRangeHeader('bytes=0-', 0)).toEqual(unsatisfiable);
    expect(parseRangeHeader('bytes=0-0,5-', 0)).toEqual(unsatisfiable);
    expect(parseRangeHeader('bytes=-0', 0)).toEqual(unsatisfiable);
  });

  test('is wholly its own suffix', () => {
    expect(parseRangeHeader('bytes=-5', 0)).toEqual(all);
    expect(parseRangeHeader('bytes=0-1,-5', 0)).toEqual(all);
  });
});

describe('numbers beyond 2^53', () => {
  const huge = '9'.repeat(400);
  test.each([
    [`bytes=0-${huge}`, ranges([0, 100])],
    [`bytes=-${huge}`, ranges([0, 100])],
    [`bytes=${huge}-`, unsatisfiable],
    [`bytes=${huge}-5`, all],
    ['bytes=9007199254740993-9007199254740992', all],
    ['bytes=9007199254740992-9007199254740993', unsatisfiable],
    [`bytes=${'0'.repeat(400)}5-6`, ranges([5, 7])],
  ])('case %#', (value, expected) => {
    expect(parseRangeHeader(value, 100)).toEqual(expected);
  });

  test('the largest file size works', () => {
    const size = Number.MAX_SAFE_INTEGER;
    expect(parseRangeHeader('bytes=-1', size)).toEqual(ranges([size - 1, size]));
    expect(parseRangeHeader(`bytes=0-${huge}`, size)).toEqual(ranges([0, size]));
  });
});

describe('several ranges', () => {
  test.each([
    ['keeps the order of the request', 'bytes=5000-5009,0-9', ranges([5000, 5010], [0, 10])],
    ['drops what lies beyond the end', 'bytes=0-0,20000-,9000-9000', ranges([0, 1], [9000, 9001])],
    ['skips empty elements and space', 'bytes= 0-0 ,, \t500-500,', ranges([0, 1], [500, 501])],
    ['merges overlapping ones', 'bytes=100-299,200-399', ranges([100, 400])],
    ['merges adjacent ones', 'bytes=100-199,200-299', ranges([100, 300])],
    ['merges across a gap of 80 bytes', 'bytes=0-9,90-99', ranges([0, 100])],
    ['leaves a gap of 81 bytes', 'bytes=0-9,91-99', ranges([0, 10], [91, 100])],
    ['merges what is inside another', 'bytes=0-999,10-19,500-', ranges([0, 10000])],
    [
      'puts a merged range where its first member stood',
      'bytes=9000-9009,5000-5009,9010-9019,0-9',
      ranges([9000, 9020], [5000, 5010], [0, 10]),
    ],
  ])('%s', (_name, value, expected) => {
    expect(parseRangeHeader(value, 10_000)).toEqual(expected);
  });

  const spread = (count: number): string =>
    `bytes=${Array.from({ length: count }, (_, index) => `${index * 1000}-${index * 1000}`).join(',')}`;

  test('16 are answered, 17 get the whole file', () => {
    const result = parseRangeHeader(spread(16), 1e6);
    expect(result.kind === 'ranges' && result.ranges.length).toBe(16);
    expect(parseRangeHeader(spread(17), 1e6)).toEqual(all);
  });

  test('many are fine when they come to few', () => {
    const value = `bytes=${Array.from({ length: 1000 }, (_, index) => `${index}-${index}`).join(',')}`;
    expect(parseRangeHeader(value, 1e6)).toEqual(ranges([0, 1000]));
  });

  test('a list of more than 1000 is ignored', () => {
    expect(parseRangeHeader(`bytes=${'0-0,'.repeat(1000)}0-0`, 1e6)).toEqual(all);
    expect(parseRangeHeader(`bytes=0-0${','.repeat(1001)}1-1`, 1e6)).toEqual(all);
  });
});

test('Content-Range is inclusive on the wire', () => {
  expect(contentRange({ start: 0, end: 100 }, 1000)).toBe('bytes 0-99/1000');
  expect(unsatisfiedContentRange(1000)).toBe('bytes */1000');
});

/** The bytes a list of specs asks for, one by one. */
function wantedBytes(specs: Spec[], size: number): Set<number> {
  const wanted = new Set<number>();
  for (const spec of specs) {
    for (let at = 0; at < size; at += 1) {
      const inside =
        spec.first === undefined
          ? at >= size - (spec.last ?? 0)
          : at >= spec.first && (spec.last === undefined || at <= spec.last);
      if (inside) wanted.add(at);
    }
  }
  return wanted;
}

interface Spec {
  first: number | undefined;
  last: number | undefined;
}

const position = fc.nat({ max: 1500 });
const spec: fc.Arbitrary<Spec> = fc.oneof(
  fc.tuple(position, position).map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) })),
  position.map((first) => ({ first, last: undefined })),
  position.map((last) => ({ first: undefined, last })),
);

test('valid lists ask for the bytes of a naive model, and at most small gaps besides', () => {
  fc.assert(
    fc.property(
      fc.array(spec, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 1200 }),
      (specs, size) => {
        const value = `bytes=${specs.map(({ first, last }) => `${first ?? ''}-${last ?? ''}`).join(', ')}`;
        const wanted = wantedBytes(specs, size);
        const result = parseRangeHeader(value, size);
        if (wanted.size === 0) {
          expect(result).toEqual(unsatisfiable);
          return;
        }
        if (result.kind !== 'ranges') throw new Error(`It was taken as ${result.kind}.`);
        expect(result.ranges.length).toBeLessThanOrEqual(MAX_RANGES);
        const given = new Set<number>();
        for (const range of result.ranges) {
          expect(range.end).toBeLessThanOrEqual(size);
          let gap = 0;
          for (let at = range.start; at < range.end; at += 1) {
            expect(given.has(at)).toBe(false);
            given.add(at);
            gap = wanted.has(at) ? 0 : gap + 1;
            if (gap > COALESCE_GAP_BYTES) throw new Error('A gap of more than 80 bytes was filled.');
          }
          expect(wanted.has(range.start) && wanted.has(range.end - 1)).toBe(true);
        }
        expect([...wanted].every((at) => given.has(at))).toBe(true);
        const sorted = result.ranges.toSorted((a, b) => a.start - b.start);
        for (const [index, range] of sorted.entries()) {
          const next = sorted[index + 1];
          if (next !== undefined) expect(next.start - range.end).toBeGreaterThan(COALESCE_GAP_BYTES);
        }
      },
    ),
  );
});

test('any text gives an answer within the file', () => {
  const text = fc.string({ unit: fc.constantFrom(...Array.from('0123456789-, \tab')), maxLength: 60 });
  fc.assert(
    fc.property(text, fc.maxSafeNat(), (list, size) => {
      const result = parseRangeHeader(`bytes=${list}`, size);
      if (result.kind !== 'ranges') return;
      expect(result.ranges.length).toBeGreaterThan(0);
      for (const { start, end } of result.ranges) {
        expect(start).toBeGreaterThanOrEqual(0);
        expect(end).toBeGreaterThan(start);
        expect(end).toBeLessThanOrEqual(size);
      }
    }),
  );
});
