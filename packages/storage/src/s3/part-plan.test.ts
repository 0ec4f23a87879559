import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { refusal } from '../conformance/subject.ts';
import { MAX_OBJECT_BYTES, MAX_PARTS, PART_BYTES, PartPlan, SAFE_PARTS } from './part-plan.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

describe('PartPlan', () => {
  it('lets 10,000 parts suffice for any size that S3 takes, with no part under 5 MiB', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MAX_OBJECT_BYTES }), (size) => {
        const part = new PartPlan(size).partBytes(1);
        expect(part).toBeGreaterThanOrEqual(5 * MIB);
        expect(Math.ceil(size / part)).toBeLessThanOrEqual(MAX_PARTS);
        expect(new PartPlan(size).partBytes(MAX_PARTS)).toBe(part);
      }),
    );
  });

  it('uses 8 MiB up to 7.8 GiB, and four buffers', () => {
    const plan = new PartPlan(7.8 * GIB);
    expect([plan.partBytes(1), plan.buffers(1)]).toEqual([PART_BYTES, 4]);
  });

  it('lets the 1000 parts of a careful server suffice up to 31 GiB, in 128 MiB of buffers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 31 * GIB }), (size) => {
        const plan = new PartPlan(size);
        expect(Math.ceil(size / plan.partBytes(1))).toBeLessThanOrEqual(SAFE_PARTS);
        expect(plan.partBytes(1) * plan.buffers(1)).toBeLessThanOrEqual(128 * MIB);
      }),
    );
  });

  it('lets parts of a file of unknown size grow, up to some 880 GiB in all', () => {
    const plan = new PartPlan();
    const sizes = Array.from({ length: MAX_PARTS }, (_, index) => plan.partBytes(index + 1));
    expect(sizes[0]).toBe(PART_BYTES);
    expect(sizes.every((size, index) => size >= (sizes[index - 1] ?? 0))).toBe(true);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeGreaterThan(880 * 1024 ** 3);
    expect(sizes.at(-1)).toBeLessThan(310 * MIB);
  });

  it('keeps the buffers of one upload below 640 MiB for an unknown size, and two at least', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_PARTS }), (partNumber) => {
        const plan = new PartPlan();
        expect(plan.buffers(partNumber)).toBeGreaterThanOrEqual(2);
        expect(plan.buffers(partNumber) * plan.partBytes(partNumber)).toBeLessThan(640 * MIB);
      }),
    );
  });

  it('refuses what no upload can hold', async () => {
    const tooLarge = async (): Promise<number> => new PartPlan(MAX_OBJECT_BYTES + 1).partBytes(1);
    await refusal(tooLarge(), 'too_large');
    const tooMany = async (): Promise<number> => new PartPlan().partBytes(MAX_PARTS + 1);
    await refusal(tooMany(), 'too_large');
  });
});
