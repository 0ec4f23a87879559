import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { SteppedClock } from '@holdfast/bytes/pacing/testing/stepped-clock';
import { HoldfastError } from '@holdfast/contract/errors';
import type { BackendsFollower } from './backends.ts';
import { CHECK_INTERVAL_MS, LEAST_GAP_MS, LONGEST_RETRY_MS } from './check-schedule.ts';
import { BackendMonitor, type MonitoredBackends } from './monitor.ts';

const logger = pino({ level: 'silent' });

/** Backends whose checks end as the test says; tells when each was begun. */
class ScriptedBackends implements MonitoredBackends {
  readonly clock = new SteppedClock();
  /** When the checks were begun, in seconds, by backend. */
  readonly begun = new Map<string, number[]>();
  readonly #checks = new Map<string, () => Promise<boolean>>();
  #follower: BackendsFollower | undefined;

  constructor(checks: Record<string, () => Promise<boolean>>) {
    for (const [id, check] of Object.entries(checks)) this.#checks.set(id, check);
  }

  /** A monitor without jitter. */
  monitor(): BackendMonitor {
    const { now, setTimer } = this.clock;
    return new BackendMonitor(this, logger, { now, setTimer, random: () => 0 });
  }

  get tell(): BackendsFollower {
    if (this.#follower === undefined) throw new Error('nobody follows');
    return this.#follower;
  }

  get isFollowed(): boolean {
    return this.#follower !== undefined;
  }

  readonly list = (): ReturnType<MonitoredBackends['list']> =>
    [...this.#checks.keys()].map((id) => ({ row: { id }, status: 'online' }));

  readonly follow = (follower: BackendsFollower): (() => void) => {
    this.#follower = follower;
    return () => (this.#follower = undefined);
  };

  readonly checkInTurn = async (id: string): Promise<boolean> => {
    this.begun.set(id, [...(this.begun.get(id) ?? []), this.clock.now() / 1000]);
    const check = this.#checks.get(id);
    if (check === undefined) throw new HoldfastError('backend_not_found', `There is no ${id}.`);
    return check();
  };
}

const minute = CHECK_INTERVAL_MS;

describe('the monitor', () => {
  it('checks a backend that is well every minute', async () => {
    const backends = new ScriptedBackends({ a: async () => true });
    using _monitor = backends.monitor();
    await backends.clock.advance(3 * minute);
    expect(backends.begun.get('a')).toEqual([60, 120, 180]);
  });

  it('comes back to one that fails ever more seldom, and every minute once it is well again', async () => {
    let isWell = false;
    const backends = new ScriptedBackends({ a: async () => isWell });
    using _monitor = backends.monitor();
    await backends.clock.advance(minute + 155_000);
    expect(backends.begun.get('a')).toEqual([60, 65, 75, 95, 135, 215]);
    isWell = true;
    await backends.clock.advance(160_000 + 2 * minute);
    expect(backends.begun.get('a')?.slice(6)).toEqual([375, 435, 495]);
  });

  it('never waits longer than five minutes and starts over after a success, whatever happens', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }), async (outcomes) => {
        let checks = 0;
        const backends = new ScriptedBackends({ a: async () => outcomes[checks++] ?? true });
        using _monitor = backends.monitor();
        await backends.clock.advance(outcomes.length * LONGEST_RETRY_MS);
        const times = backends.begun.get('a') ?? [];
        expect(times.length).toBeGreaterThanOrEqual(outcomes.length);
        let failures = 0;
        for (const [index, isOk] of outcomes.entries()) {
          failures = isOk ? 0 : failures + 1;
          const wanted = isOk ? 60 : Math.min(5 * 2 ** (failures - 1), 300);
          const [at, next] = [times[index], times[index + 1]];
          if (at !== undefined && next !== undefined) expect(next - at).toBe(wanted);
        }
      }),
    );
  });

  it('lets no backend wait for another one that hangs, and begins no second check of that', async () => {
    const hung = Promise.withResolvers<boolean>();
    const backends = new ScriptedBackends({ hanging: () => hung.promise, well: async () => true });
    using _monitor = backends.monitor();
    await backends.clock.advance(10 * minute);
    expect(backends.begun.get('hanging')).toEqual([60]);
    expect(backends.begun.get('well')).toHaveLength(10);
    hung.resolve(false);
    await backends.clock.advance(5_000);
    expect(backends.begun.get('hanging')).toEqual([60, 605]);
  });

  it('starts over when somebody has asked for a check, or the backend was changed', async () => {
    const backends = new ScriptedBackends({ a: async () => false });
    using _monitor = backends.monitor();
    await backends.clock.advance(minute + 40_000); // failed at 60, 65, 75, 95; next at 135
    backends.tell.asked('a', false);
    await backends.clock.advance(20_000);
    expect(backends.begun.get('a')).toEqual([60, 65, 75, 95, 105, 115]);
    backends.tell.asked('a', true);
    await backends.clock.advance(minute);
    expect(backends.begun.get('a')?.slice(6)).toEqual([180]);
  });

  it('lets a check that was under way plan nothing once somebody has asked', async () => {
    const slow = Promise.withResolvers<boolean>();
    const backends = new ScriptedBackends({ a: () => slow.promise });
    using _monitor = backends.monitor();
    await backends.clock.advance(minute);
    backends.tell.asked('a', true);
    slow.resolve(false);
    await backends.clock.advance(minute - 1);
    expect(backends.begun.get('a')).toEqual([60]);
    await backends.clock.advance(1);
    expect(backends.begun.get('a')).toEqual([60, 120]);
  });

  it('checks sooner when an operation fails, but keeps the backoff of a backend that is known to fail', async () => {
    let isWell = true;
    const backends = new ScriptedBackends({ a: async () => isWell });
    using _monitor = backends.monitor();
    await backends.clock.advance(minute + 10_000);
    isWell = false;
    for (let doubts = 0; doubts < 3; doubts += 1) backends.tell.doubted('a');
    await backends.clock.advance(1_000);
    expect(backends.begun.get('a')).toEqual([60, 70]);
    for (let doubts = 0; doubts < 3; doubts += 1) backends.tell.doubted('a');
    await backends.clock.advance(9_000);
    expect(backends.begun.get('a')).toEqual([60, 70, 75]);
  });

  it('leaves a gap behind the last check even then', async () => {
    const backends = new ScriptedBackends({ a: async () => true });
    using _monitor = backends.monitor();
    await backends.clock.advance(minute + 1_000);
    backends.tell.doubted('a');
    await backends.clock.advance(LEAST_GAP_MS - 1_001);
    expect(backends.begun.get('a')).toEqual([60]);
    await backends.clock.advance(1);
    expect(backends.begun.get('a')).toEqual([60, 65]);
  });

  it('checks a backend again as soon as it answers after all', async () => {
    const backends = new ScriptedBackends({ a: async () => false });
    using _monitor = backends.monitor();
    await backends.clock.advance(minute + 35_000 + 10_000); // failed at 60, 65, 75, 95; next at 135
    backends.tell.answeredLate('a');
    await backends.clock.advance(0);
    expect(backends.begun.get('a')?.at(-1)).toBe(105);
  });

  it('takes up new backends and lets removed ones go', async () => {
    const backends = new ScriptedBackends({ a: async () => true });
    using _monitor = backends.monitor();
    backends.tell.removed('a');
    backends.tell.asked('b', true);
    await backends.clock.advance(minute);
    expect([...backends.begun.keys()]).toEqual(['b']);
  });

  it('goes on after a check that breaks', async () => {
    let checks = 0;
    const backends = new ScriptedBackends({
      a: async () => {
        checks += 1;
        if (checks === 1) throw new TypeError('a mistake of the program');
        return true;
      },
    });
    using _monitor = backends.monitor();
    await backends.clock.advance(2 * minute);
    expect(backends.begun.get('a')).toEqual([60, 65]);
  });

  it('leaves no timer behind, not even that of a check that was under way', async () => {
    const slow = Promise.withResolvers<boolean>();
    const backends = new ScriptedBackends({ slow: () => slow.promise, well: async () => true });
    const monitor = backends.monitor();
    await backends.clock.advance(minute);
    expect(backends.clock.timers).toBe(1);
    monitor[Symbol.dispose]();
    slow.resolve(true);
    await backends.clock.advance(LONGEST_RETRY_MS);
    expect([backends.clock.timers, backends.isFollowed]).toEqual([0, false]);
    expect(backends.begun.get('well')).toEqual([60]);
  });
});
