import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChunkSet, type ChunkRange } from './chunk-set.ts';

const cases = fc
  .integer({ min: 0, max: 200 })
  .chain((total) =>
    fc.tuple(
      fc.constant(total),
      total === 0 ? fc.constant([]) : fc.array(fc.integer({ min: 0, max: total - 1 }), { maxLength: 300 }),
    ),
  );

function filled(total: number, nums: readonly number[]): ChunkSet {
  const set = new ChunkSet(total);
  for (const num of nums) set.add(num);
  return set;
}

function numbersOf(ranges: readonly ChunkRange[]): number[] {
  return ranges.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, index) => first + index),
  );
}

describe('a set of chunks', () => {
  it('tells what is there and what is missing as ranges with both ends', () => {
    const set = filled(21, [20, 0, 1, 2, 14, 15, 13]);
    expect(set.ranges()).toEqual([
      [0, 2],
      [13, 15],
      [20, 20],
    ]);
    expect(set.missing()).toEqual([
      [3, 12],
      [16, 19],
    ]);
    expect(set.missing(1)).toEqual([[3, 12]]);
    expect(set.prefix).toBe(3);
  });

  it.each([-1, 4, 1.5, Number.NaN])('refuses the chunk %s of four', (num) => {
    expect(() => filled(4, [num])).toThrow(RangeError);
  });

  it('says the same as a set of numbers, in whatever order they came and however often', () => {
    fc.assert(
      fc.property(cases, ([total, nums]) => {
        const set = new ChunkSet(total);
        const model = new Set<number>();
        for (const num of nums) {
          expect(set.add(num)).toBe(!model.has(num));
          model.add(num);
        }
        const all = Array.from({ length: total }, (_, num) => num);
        expect(set.size).toBe(model.size);
        expect(set.isComplete).toBe(model.size === total);
        expect(numbersOf(set.ranges())).toEqual(all.filter((num) => model.has(num)));
        expect(numbersOf(set.missing())).toEqual(all.filter((num) => !model.has(num)));
        const gap = all.find((num) => !model.has(num));
        expect(set.prefix).toBe(gap ?? total);
      }),
    );
  });

  it('has ranges that neither overlap nor touch', () => {
    fc.assert(
      fc.property(cases, ([total, nums]) => {
        const ranges = filled(total, nums).ranges();
        for (const [index, [first, last]] of ranges.entries()) {
          expect(last).toBeGreaterThanOrEqual(first);
          const before = ranges[index - 1];
          if (before !== undefined) expect(first).toBeGreaterThan(before[1] + 1);
        }
      }),
    );
  });
});
