import { isHoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PartGrid } from './part-grid.ts';

const MIB = 1024 ** 2;
const size = fc.integer({ min: 1, max: 5 * 1024 ** 4 });
const plannedSize = fc.option(size);

describe('PartGrid', () => {
  it('puts every byte into the one part that its number leads to', () => {
    fc.assert(
      fc.property(plannedSize, fc.integer({ min: 0, max: 800 * 1024 ** 3 }), (planned, position) => {
        const grid = PartGrid.for(planned);
        const part = grid.at(planned === null ? position : position % planned);
        expect(part.start).toBeLessThanOrEqual(planned === null ? position : position % planned);
        expect(part.end).toBeGreaterThan(planned === null ? position : position % planned);
        expect(grid.part(part.number)).toEqual(part);
        expect(part.end - part.start).toBeGreaterThanOrEqual(8 * MIB);
      }),
    );
  });

  it('cuts a whole into parts without gaps, at most 10,000 of them', () => {
    fc.assert(
      fc.property(size, (whole) => {
        let end = 0;
        let count = 0;
        for (const part of PartGrid.for(whole).parts(whole)) {
          expect(part).toMatchObject({ start: end, number: count + 1 });
          end = part.end;
          count += 1;
        }
        expect(end).toBe(whole);
        expect(count).toBeLessThanOrEqual(10_000);
      }),
      { numRuns: 20 },
    );
  });

  it('has no part behind the last one', () => {
    const grid = PartGrid.for(null);
    expect(grid.part(10_000)).toBeDefined();
    expect(grid.part(10_001)).toBeUndefined();
    const beyond = grid.part(10_000)?.end ?? 0;
    let error: unknown;
    try {
      grid.at(beyond);
    } catch (thrown) {
      error = thrown;
    }
    expect(isHoldfastError(error, 'too_large')).toBe(true);
  });
});
