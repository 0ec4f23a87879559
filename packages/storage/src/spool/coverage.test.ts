import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Coverage } from './coverage.ts';

const stretch = fc
  .tuple(fc.nat(60), fc.integer({ min: 1, max: 20 }))
  .map(([start, bytes]) => ({ start, end: start + bytes }));
const step = fc.record({ stretch, isRemoval: fc.boolean() });

describe('Coverage', () => {
  it('knows the same bytes as a set of numbers does, in slices that are in order and do not overlap', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), stretch, (steps, asked) => {
        const coverage = new Coverage();
        const model = new Set<number>();
        for (const { stretch: at, isRemoval } of steps) {
          let touched = false;
          for (let byte = at.start; byte < at.end; byte += 1) {
            touched ||= model.has(byte);
            if (isRemoval) model.delete(byte);
            else model.add(byte);
          }
          expect(coverage.touches(at.start, at.end)).toBe(touched);
          if (isRemoval) expect(coverage.remove(at.start, at.end)).toBe(touched);
          else coverage.add({ ...at, sha256: 'known' });
        }
        const bytes = coverage.slices.flatMap(({ start, end }) =>
          Array.from({ length: end - start }, (_, index) => start + index),
        );
        expect(bytes).toEqual([...model].toSorted((a, b) => a - b));
        const all = Array.from({ length: asked.end - asked.start }, (_, index) => asked.start + index);
        expect(coverage.covers(asked.start, asked.end)).toBe(all.every((byte) => model.has(byte)));
      }),
    );
  });

  it('forgets the SHA-256 of a slice of which a part was replaced, and of no other', () => {
    const coverage = new Coverage();
    coverage.add({ start: 0, end: 10, sha256: 'a' });
    coverage.add({ start: 10, end: 20, sha256: 'b' });
    coverage.add({ start: 4, end: 6, sha256: 'c' });
    expect(coverage.slices).toEqual([
      { start: 0, end: 4, sha256: null },
      { start: 4, end: 6, sha256: 'c' },
      { start: 6, end: 10, sha256: null },
      { start: 10, end: 20, sha256: 'b' },
    ]);
    expect(coverage.at(4)?.sha256).toBe('c');
    expect(coverage.at(5)).toBeUndefined();
  });

  it('stays small, whatever the number of pieces', () => {
    const coverage = new Coverage();
    for (let byte = 0; byte < 10_000; byte += 1) coverage.add({ start: byte, end: byte + 1, sha256: 'x' });
    expect(coverage.slices.length).toBeLessThanOrEqual(4096);
    expect(coverage.covers(0, 10_000)).toBe(true);
  });
});
