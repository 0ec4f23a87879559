import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HoldfastError } from '@holdfast/contract/errors';
import { HandOverLocks, type Hold } from './hand-over.ts';

function makeLocks(): HandOverLocks {
  return new HandOverLocks((subject) => new HoldfastError('superseded', `${subject} is another one's now`));
}

const superseded = { code: 'superseded' };

describe('HandOverLocks', () => {
  it('gives a free lock at once, and different ones side by side', async () => {
    const locks = makeLocks();
    using a = await locks.take('a');
    using b = await locks.take('b');
    expect([a.waited, b.waited, a.signal.aborted, b.signal.aborted]).toEqual([false, false, false, false]);
  });

  it('asks the holder to let go, and waits until it has', async () => {
    const locks = makeLocks();
    const holder = await locks.take('a');
    let isTaken = false;
    const newcomer = locks.take('a').then((hold) => {
      isTaken = true;
      return hold;
    });
    expect(holder.signal.reason).toMatchObject(superseded);
    await new Promise((resolve) => setImmediate(resolve));
    expect(isTaken).toBe(false);
    holder[Symbol.dispose]();
    using hold = await newcomer;
    expect(hold.waited).toBe(true);
    expect(hold.signal.aborted).toBe(false);
  });

  it('refuses one that still waits when a newer one comes', async () => {
    const locks = makeLocks();
    const holder = await locks.take('a');
    const second = locks.take('a');
    const third = locks.take('a');
    await expect(second).rejects.toMatchObject(superseded);
    holder[Symbol.dispose]();
    using hold = await third;
    expect(hold.signal.aborted).toBe(false);
  });

  it('lets one that has gone out of the queue, and is free afterwards', async () => {
    const locks = makeLocks();
    const holder = await locks.take('a');
    const going = new AbortController();
    const waiting = locks.take('a', going.signal);
    going.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    await expect(locks.take('a', going.signal)).rejects.toMatchObject({ code: 'cancelled' });
    holder[Symbol.dispose]();
    holder[Symbol.dispose]();
    using hold = await locks.take('a');
    expect(hold.waited).toBe(false);
  });

  it('never has two holders, leaves nobody waiting, and the newest one gets it in the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 1, max: 8 }), async (scheduler, count) => {
        const locks = makeLocks();
        let holders = 0;
        let last = -1;
        const all = Array.from({ length: count }, async (_, index) => {
          await scheduler.schedule(Promise.resolve(), `comes ${index}`);
          let hold: Hold;
          const order = (arrivals += 1);
          try {
            hold = await locks.take('a');
          } catch (error) {
            expect(error).toMatchObject(superseded);
            return;
          }
          holders += 1;
          expect(holders).toBe(1);
          await scheduler.schedule(Promise.resolve(), `works ${index}`);
          holders -= 1;
          last = order;
          hold[Symbol.dispose]();
        });
        let arrivals = 0;
        await scheduler.waitFor(Promise.all(all));
        expect(last).toBe(count);
        using free = await locks.take('a');
        expect(free.waited).toBe(false);
      }),
    );
  });
});
