import { setImmediate } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { SteppedClock } from '@holdfast/bytes/pacing/testing/stepped-clock';
import type { ProbeReport } from '@holdfast/storage/backend';
import { CHECK_LIMIT_MS, HealthCheck, STOP_GRACE_MS, type Findings } from './health-check.ts';

const good: Findings = { report: { ok: true, checks: [], latencyMs: 1 }, usage: null };
const bad: Findings = {
  report: { ok: false, checks: [{ name: 'connect', ok: false, message: 'Nobody there.' }], latencyMs: 1 },
  usage: null,
};

let clock: SteppedClock;
let noted: Findings[];
let lateAnswers: number;
beforeEach(() => {
  clock = new SteppedClock();
  noted = [];
  lateAnswers = 0;
});

function healthCheck(look: (signal: AbortSignal) => Promise<Findings>): HealthCheck {
  return new HealthCheck({
    look,
    note: (findings) => noted.push(findings),
    onLateAnswer: () => (lateAnswers += 1),
    setTimer: clock.setTimer,
  });
}

/** Looks that end when the test says so, in the order in which they were begun. */
class Looks {
  readonly begun: PromiseWithResolvers<Findings>[] = [];
  readonly signals: AbortSignal[] = [];
  readonly look = (signal: AbortSignal): Promise<Findings> => {
    const end = Promise.withResolvers<Findings>();
    this.begun.push(end);
    this.signals.push(signal);
    return end.promise;
  };
}

const inTurn = { isAskedFor: false };
const asked = { isAskedFor: true };

describe('a check', () => {
  it('gives what was found, notes it once, and leaves no timer', async () => {
    const check = healthCheck(async () => good);
    expect(await check.run(inTurn)).toBe(good.report);
    expect(noted).toEqual([good]);
    expect(clock.timers).toBe(0);
  });

  it('is joined by whoever comes while it is under way', async () => {
    const looks = new Looks();
    const check = healthCheck(looks.look);
    const reports = [check.run(inTurn), check.run(inTurn), check.run(asked)];
    looks.begun[0]?.resolve(good);
    expect(await Promise.all(reports)).toEqual([good.report, good.report, good.report]);
    expect(looks.begun).toHaveLength(1);
    expect(noted).toEqual([good]);
  });

  it('that failed and had begun before somebody asked is made once more, for all who asked', async () => {
    const looks = new Looks();
    const check = healthCheck(looks.look);
    const routine = check.run(inTurn);
    const wanted = [check.run(asked), check.run(asked)];
    looks.begun[0]?.resolve(bad);
    expect(await routine).toBe(bad.report);
    await setImmediate();
    expect(looks.begun).toHaveLength(2);
    looks.begun[1]?.resolve(good);
    expect(await Promise.all(wanted)).toEqual([good.report, good.report]);
    expect(noted).toEqual([bad, good]);
  });

  it('throws what the look throws, and the next one looks again', async () => {
    const failure = new TypeError('a mistake of the program');
    let isBroken = true;
    const check = healthCheck(async () => {
      if (isBroken) throw failure;
      return good;
    });
    await expect(check.run(inTurn)).rejects.toBe(failure);
    isBroken = false;
    expect(await check.run(inTurn)).toBe(good.report);
  });
});

describe('a check beyond its limit', () => {
  it('is told to stop, and what it then says counts', async () => {
    const check = healthCheck(
      (signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => resolve(bad));
        }),
    );
    const report = check.run(inTurn);
    await clock.advance(CHECK_LIMIT_MS);
    expect(await report).toBe(bad.report);
    expect([noted, lateAnswers, clock.timers]).toEqual([[bad], 0, 0]);
  });

  it('that hangs all the same is given up as unanswered', async () => {
    const looks = new Looks();
    const check = healthCheck(looks.look);
    const running = check.run(inTurn);
    await clock.advance(CHECK_LIMIT_MS - 1);
    expect([noted, looks.signals[0]?.aborted]).toEqual([[], false]);
    await clock.advance(1 + STOP_GRACE_MS);
    const report: ProbeReport = await running;
    expect(report).toMatchObject({ ok: false, checks: [{ name: 'answer', ok: false }] });
    expect(report.checks[0]?.message).toContain('within 30 seconds');
    expect([noted.length, looks.signals[0]?.aborted, clock.timers]).toEqual([1, true, 0]);
  });

  it('is not begun a second time while the first one hangs, and is once that has ended', async () => {
    const looks = new Looks();
    const check = healthCheck(looks.look);
    const running = check.run(inTurn);
    await clock.advance(CHECK_LIMIT_MS + STOP_GRACE_MS);
    const unanswered = await running;
    expect(await check.run(inTurn)).toBe(unanswered);
    expect(await check.run(asked)).toBe(unanswered);
    expect([looks.begun.length, lateAnswers]).toEqual([1, 0]);

    looks.begun[0]?.reject(new Error('the device is gone'));
    await setImmediate();
    expect(lateAnswers).toBe(1);
    const again = check.run(inTurn);
    looks.begun[1]?.resolve(good);
    expect(await again).toBe(good.report);
    expect(noted.map(({ report }) => report.ok)).toEqual([false, true]);
  });
});

describe('a check of a storage that is closed', () => {
  it('ends at once, and nothing of it is noted, now or later', async () => {
    const looks = new Looks();
    const check = healthCheck(looks.look);
    const running = check.run(inTurn);
    check[Symbol.dispose]();
    expect((await running).ok).toBe(false);
    expect([looks.signals[0]?.aborted, clock.timers]).toEqual([true, 0]);
    looks.begun[0]?.resolve(good);
    await setImmediate();
    expect([noted, lateAnswers]).toEqual([[], 0]);
  });
});
