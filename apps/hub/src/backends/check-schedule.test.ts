import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CHECK_INTERVAL_MS,
  LEAST_GAP_MS,
  FIRST_RETRY_MS,
  LONGEST_RETRY_MS,
  planAfter,
  planInDoubt,
  planSoon,
  type CheckPlan,
} from './check-schedule.ts';

const time = fc.nat({ max: 10 ** 9 });
const random = fc.double({ min: 0, max: 1, noNaN: true });
const failures = fc.nat({ max: 2000 });

describe('the plan after a check', () => {
  it('that passed is the interval, whatever was before', () => {
    fc.assert(
      fc.property(failures, time, random, (before, now, chance) => {
        const nextAt = now + CHECK_INTERVAL_MS;
        expect(planAfter(true, before, now, chance)).toEqual({ failures: 0, checkedAt: now, nextAt });
      }),
    );
  });

  it('that failed doubles up to the longest, and is early by a fifth at most', () => {
    fc.assert(
      fc.property(failures, time, random, (before, now, chance) => {
        const plan = planAfter(false, before, now, chance);
        const full = Math.min(FIRST_RETRY_MS * 2 ** before, LONGEST_RETRY_MS);
        expect(plan.failures).toBe(before + 1);
        expect(plan.nextAt - now).toBeLessThanOrEqual(full);
        expect(plan.nextAt - now).toBeGreaterThanOrEqual(full * 0.8 - 1e-3);
      }),
    );
  });

  it('goes 5, 10, 20, 40, 80, 160, 300, 300 seconds without jitter', () => {
    let plan: CheckPlan = { failures: 0, checkedAt: 0, nextAt: 0 };
    const delays = Array.from({ length: 8 }, () => {
      const now = plan.nextAt;
      plan = planAfter(false, plan.failures, now, 0);
      return (plan.nextAt - now) / 1000;
    });
    expect(delays).toEqual([5, 10, 20, 40, 80, 160, 300, 300]);
  });
});

describe('a doubt', () => {
  it('brings the check of a good backend forward, never back, and leaves a gap behind the last one', () => {
    fc.assert(
      fc.property(time, fc.nat({ max: 2 * CHECK_INTERVAL_MS }), random, (checkedAt, later, chance) => {
        const plan = planAfter(true, 0, checkedAt, chance);
        const now = checkedAt + later;
        const { nextAt } = planInDoubt(plan, now);
        expect(nextAt).toBeLessThanOrEqual(plan.nextAt);
        expect(nextAt).toBeGreaterThanOrEqual(checkedAt + LEAST_GAP_MS);
        expect(nextAt).toBeLessThanOrEqual(Math.max(now, checkedAt + LEAST_GAP_MS));
      }),
    );
  });

  it('that comes again changes nothing', () => {
    fc.assert(
      fc.property(time, fc.nat({ max: CHECK_INTERVAL_MS }), fc.nat(), (checkedAt, first, more) => {
        const once = planInDoubt(planAfter(true, 0, checkedAt, 0), checkedAt + first);
        expect(planInDoubt(once, checkedAt + first + more)).toEqual(once);
      }),
    );
  });

  it('does not undo the backoff of a backend that fails', () => {
    fc.assert(
      fc.property(failures, time, random, fc.nat(), (before, now, chance, later) => {
        const plan = planAfter(false, before, now, chance);
        expect(planInDoubt(plan, now + later)).toBe(plan);
      }),
    );
  });
});

describe('a check that is worth its while before its time', () => {
  it('comes after the least gap, and never later than planned', () => {
    fc.assert(
      fc.property(fc.boolean(), failures, time, random, fc.nat(), (isOk, before, now, chance, later) => {
        const plan = planAfter(isOk, before, now, chance);
        const sooner = planSoon(plan, now + later);
        const wanted = Math.max(now + later, now + LEAST_GAP_MS);
        expect(sooner).toEqual({ ...plan, nextAt: Math.min(plan.nextAt, wanted) });
      }),
    );
  });
});
