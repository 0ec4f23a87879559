import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { weightedShares } from './shares.ts';
import type { Claim } from './shares.ts';

const weight = fc.double({ min: 1, max: 32, noNaN: true });
const claim = fc.record({
  weight,
  cap: fc.option(fc.double({ min: 0.01, max: 500, noNaN: true }), { nil: Infinity }),
});
const options = fc.record({
  budget: fc.double({ min: 1, max: 2000, noNaN: true }),
  floor: fc.double({ min: 0, max: 20, noNaN: true }),
  transfers: fc.array(claim, { minLength: 1, maxLength: 40 }),
});
const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0);
/** Room for rounding. */
const near = (value: number): number => value * 1e-9 + 1e-9;

describe('shares by example', () => {
  test.each<[string, number, number, Claim[], number[]]>([
    ['nobody', 100, 1, [], []],
    ['equal weights share evenly', 100, 1, [{ weight: 1 }, { weight: 1 }], [50, 50]],
    ['weights count', 100, 1, [{ weight: 1 }, { weight: 4 }], [20, 80]],
    [
      'a capped one hands on its rest',
      100,
      1,
      [{ weight: 1 }, { weight: 3, cap: 10 }, { weight: 2 }],
      [30, 10, 60],
    ],
    ['a floor lifts the lightest', 66, 5, [{ weight: 1 }, { weight: 31 }, { weight: 30 }], [5, 31, 30]],
    ['a cap below the floor wins', 100, 5, [{ weight: 1, cap: 2 }, { weight: 1 }], [2, 98]],
    [
      'all that can be taken is given',
      100,
      1,
      [
        { weight: 1, cap: 5 },
        { weight: 9, cap: 6 },
      ],
      [5, 6],
    ],
    ['floors beyond the budget mean even shares', 8, 5, [{ weight: 1 }, { weight: 32 }], [4, 4]],
    ['even shares hand on too', 8, 5, [{ weight: 1, cap: 1 }, { weight: 32 }, { weight: 2 }], [1, 3.5, 3.5]],
  ])('%s', (_name, budget, floor, transfers, expected) => {
    const shares = weightedShares({ budget, floor, transfers });
    expect(shares.map((share) => Math.round(share * 1e6) / 1e6)).toEqual(expected);
  });
});

describe('shares of any transfers', () => {
  test('use up the budget, or all that can be taken, and never more', () => {
    fc.assert(
      fc.property(options, (input) => {
        const total = sum(weightedShares(input));
        const possible = Math.min(input.budget, sum(input.transfers.map(({ cap }) => cap)));
        expect(Math.abs(total - possible)).toBeLessThanOrEqual(near(possible));
      }),
    );
  });

  test('respect caps, and floors where they fit into the budget', () => {
    fc.assert(
      fc.property(options, (input) => {
        const floors = input.transfers.map(({ cap }) => Math.min(cap, input.floor));
        const fit = sum(floors) <= input.budget;
        for (const [index, share] of weightedShares(input).entries()) {
          const { cap } = input.transfers[index] ?? { cap: 0 };
          expect(share).toBeLessThanOrEqual(cap);
          expect(share).toBeGreaterThan(0);
          if (fit) expect(share).toBeGreaterThanOrEqual((floors[index] ?? 0) - near(input.floor));
        }
      }),
    );
  });

  test('are in proportion to the weights among those that neither floor nor cap binds', () => {
    fc.assert(
      fc.property(options, (input) => {
        const shares = weightedShares(input);
        const free = input.transfers.flatMap(({ weight: w, cap }, index) => {
          const share = shares[index] ?? 0;
          const bound = share >= cap || share <= input.floor + near(input.floor);
          return bound ? [] : [share / w];
        });
        expect(Math.max(...free, 0) - Math.min(...free, Infinity)).toBeLessThanOrEqual(near(input.budget));
      }),
    );
  });

  test('are monotone in the weight: for equal caps the heavier one gets no less', () => {
    fc.assert(
      fc.property(options, weight, weight, (input, a, b) => {
        const transfers = [{ weight: Math.min(a, b) }, { weight: Math.max(a, b) }, ...input.transfers];
        const [light = 0, heavy = 0] = weightedShares({ ...input, transfers });
        expect(heavy).toBeGreaterThanOrEqual(light);
      }),
    );
  });

  test('a higher weight never lowers the own share', () => {
    fc.assert(
      fc.property(options, fc.double({ min: 1, max: 10, noNaN: true }), (input, factor) => {
        const [first, ...rest] = input.transfers;
        if (first === undefined) throw new Error('There is no transfer.');
        const heavier = [{ ...first, weight: first.weight * factor }, ...rest];
        const [before = 0] = weightedShares(input);
        const [after = 0] = weightedShares({ ...input, transfers: heavier });
        expect(after).toBeGreaterThanOrEqual(before - near(input.budget));
      }),
    );
  });
});
