import { contentRange } from '@holdfast/bytes/ranges';
import type { ByteRange } from '@holdfast/bytes/ranges';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesIn, missingRanges, parseContentRange, pieces, prefixOf, withRange } from './byte-ranges.ts';

const size = 200;
const range = fc
  .tuple(fc.nat(size), fc.nat(size))
  .map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));
const added = fc.array(range, { maxLength: 12 });

/** The same, byte by byte. */
const membersOf = (ranges: readonly ByteRange[]): Set<number> =>
  new Set(ranges.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, at) => start + at)));
const joined = (ranges: readonly ByteRange[]): ByteRange[] => ranges.reduce<ByteRange[]>(withRange, []);

describe('withRange', () => {
  it('holds the bytes of all ranges that were added, in order and apart', () => {
    fc.assert(
      fc.property(added, (ranges) => {
        const all = joined(ranges);
        expect(membersOf(all)).toEqual(membersOf(ranges));
        expect(bytesIn(all)).toBe(membersOf(ranges).size);
        for (const [index, { start, end }] of all.entries()) {
          expect(start).toBeLessThan(end);
          expect(start).toBeGreaterThan(all[index - 1]?.end ?? -1);
        }
      }),
    );
  });
});

describe('missingRanges', () => {
  it('is what the ranges leave out, no byte more or less', () => {
    fc.assert(
      fc.property(added, (ranges) => {
        const present = joined(ranges);
        const missing = missingRanges(present, size);
        expect(bytesIn(present) + bytesIn(missing)).toBe(size);
        expect(joined([...present, ...missing])).toEqual([{ start: 0, end: size }]);
      }),
    );
  });
});

describe('pieces', () => {
  it('covers every byte once and in order, with no piece too large', () => {
    fc.assert(
      fc.property(added, fc.integer({ min: 1, max: 50 }), (ranges, most) => {
        const missing = missingRanges(joined(ranges), size);
        const cut = [...pieces(missing, most)];
        expect(cut.flatMap((piece) => [...membersOf([piece])])).toEqual([...membersOf(missing)]);
        for (const { start, end } of cut) expect(end - start).toBeLessThanOrEqual(most);
      }),
    );
  });
});

describe('prefixOf', () => {
  it('ends before the first byte that is missing', () => {
    fc.assert(
      fc.property(added, (ranges) => {
        const present = joined(ranges);
        expect(prefixOf(present)).toBe(missingRanges(present, size)[0]?.start ?? size);
      }),
    );
  });
});

describe('parseContentRange', () => {
  it('reads what a hub writes', () => {
    fc.assert(
      fc.property(range, ({ start, end }) => {
        fc.pre(start < end);
        expect(parseContentRange(contentRange({ start, end }, size))).toEqual({ start, end, size });
      }),
    );
  });

  it('takes nothing else for a range', () => {
    const others = [null, '', 'bytes */10', 'bytes 5-4/10', 'bytes 0-10/10', 'bytes 0-9/*', 'items 0-9/10'];
    for (const value of others) expect(parseContentRange(value)).toBeUndefined();
  });
});
