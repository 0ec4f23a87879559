import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunkCount, chunkPlace } from './chunk-plan.ts';

const plans = fc.record({
  size: fc.integer({ min: 0, max: 5 * 1024 ** 4 }),
  chunkSize: fc.integer({ min: 1, max: 5 * 1024 ** 4 }),
});

describe('a chunk plan', () => {
  it('has no chunk for a file of no bytes, and one for a file of one byte', () => {
    expect(chunkCount({ size: 0, chunkSize: 8 })).toBe(0);
    expect(chunkPlace({ size: 0, chunkSize: 8 }, 0)).toBeUndefined();
    expect(chunkCount({ size: 1, chunkSize: 8 })).toBe(1);
    expect(chunkPlace({ size: 1, chunkSize: 8 }, 0)).toEqual({ position: 0, length: 1 });
  });

  it('makes the last chunk as long as what is left', () => {
    const plan = { size: 20, chunkSize: 8 };
    expect([0, 1, 2].map((num) => chunkPlace(plan, num))).toEqual([
      { position: 0, length: 8 },
      { position: 8, length: 8 },
      { position: 16, length: 4 },
    ]);
    expect(chunkPlace({ size: 16, chunkSize: 8 }, 1)).toEqual({ position: 8, length: 8 });
  });

  it.each([-1, 3, 0.5, Number.NaN, Infinity])('knows no chunk %s of three', (num) => {
    expect(chunkPlace({ size: 20, chunkSize: 8 }, num)).toBeUndefined();
  });

  it('covers every byte once: a chunk begins where the one before ends, the last one ends the file', () => {
    fc.assert(
      fc.property(plans, fc.double({ min: 0, max: 1, noNaN: true }), (plan, where) => {
        const count = chunkCount(plan);
        if (count === 0) {
          expect(plan.size).toBe(0);
          return;
        }
        const num = Math.min(count - 1, Math.floor(where * count));
        const place = chunkPlace(plan, num);
        if (place === undefined) throw new Error('the chunk is there');
        expect(place.length).toBeGreaterThan(0);
        expect(place.length).toBeLessThanOrEqual(plan.chunkSize);
        const next = chunkPlace(plan, num + 1);
        expect(place.position + place.length).toBe(next === undefined ? plan.size : next.position);
        expect(next === undefined).toBe(num === count - 1);
        expect(chunkPlace(plan, 0)?.position).toBe(0);
      }),
    );
  });
});
