import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ContentLocks } from './content-locks.ts';

describe('ContentLocks', () => {
  it('lets holders of one content in one at a time, in the order in which they came', async () => {
    const locks = new ContentLocks();
    const order: string[] = [];
    const first = await locks.take(['a']);
    const second = locks.take(['a']).then((held) => {
      order.push('second');
      return held;
    });
    const third = locks.take(['a']).then((held) => {
      order.push('third');
      return held;
    });
    await using other = await locks.take(['b']);
    expect(other).toBeDefined();
    expect(order).toEqual([]);
    await first[Symbol.asyncDispose]();
    await (await second)[Symbol.asyncDispose]();
    await (await third)[Symbol.asyncDispose]();
    expect(order).toEqual(['second', 'third']);
  });

  it('leaves the queue, and what it held, when the signal aborts', async () => {
    const locks = new ContentLocks();
    const held = await locks.take(['b']);
    const controller = new AbortController();
    const waiting = locks.take(['a', 'b'], controller.signal);
    const behind = locks.take(['b']);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    await using free = await locks.take(['a']);
    expect(free).toBeDefined();
    await held[Symbol.asyncDispose]();
    await (await behind)[Symbol.asyncDispose]();
    await expect(locks.take(['c'], controller.signal)).rejects.toMatchObject({ code: 'cancelled' });
    await (await locks.take(['c']))[Symbol.asyncDispose]();
  });

  it('lets go of everything once when it is disposed twice', async () => {
    const locks = new ContentLocks();
    const first = await locks.take(['a']);
    await first[Symbol.asyncDispose]();
    const second = await locks.take(['a']);
    await first[Symbol.asyncDispose]();
    const controller = new AbortController();
    const third = locks.take(['a'], controller.signal);
    controller.abort();
    await expect(third).rejects.toMatchObject({ code: 'cancelled' });
    await second[Symbol.asyncDispose]();
  });

  it('never lets two in at once, and lets everybody in in the end, however the sets overlap', async () => {
    const sets = fc.array(fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), sets, async (scheduler, wanted) => {
        const locks = new ContentLocks();
        const inside = new Map<string, number>();
        let most = 0;
        const all = wanted.map(async (names) => {
          await using held = await locks.take(names);
          expect(held).toBeDefined();
          for (const name of new Set(names)) inside.set(name, (inside.get(name) ?? 0) + 1);
          most = Math.max(most, ...inside.values());
          await scheduler.schedule(Promise.resolve());
          for (const name of new Set(names)) inside.set(name, (inside.get(name) ?? 0) - 1);
        });
        await scheduler.waitFor(Promise.all(all));
        expect(most).toBeLessThanOrEqual(1);
      }),
    );
  });
});
