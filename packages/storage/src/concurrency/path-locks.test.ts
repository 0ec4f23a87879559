import { describe, expect, it } from 'vitest';
import { PathLocks } from './path-locks.ts';

describe('PathLocks', () => {
  it('lets holders of one path in one at a time, in the order they came', async () => {
    const locks = new PathLocks();
    const gate = Promise.withResolvers<void>();
    const events: string[] = [];
    const first = locks.hold(['/a'], async () => {
      events.push('first in');
      await gate.promise;
      events.push('first out');
    });
    const second = locks.hold(['/a'], async () => void events.push('second'));
    const third = locks.hold(['/a'], async () => void events.push('third'));
    await locks.hold(['/b'], async () => void events.push('another path'));
    gate.resolve();
    await Promise.all([first, second, third]);
    expect(events).toEqual(['first in', 'another path', 'first out', 'second', 'third']);
  });

  it('goes on after a holder that failed', async () => {
    const locks = new PathLocks();
    const failing = locks.hold(['/a'], () => Promise.reject(new Error('no')));
    const next = locks.hold(['/a'], async () => 'in');
    await expect(failing).rejects.toThrow('no');
    await expect(next).resolves.toBe('in');
  });

  it('takes several paths in any order of naming without a deadlock', async () => {
    const locks = new PathLocks();
    const done = await Promise.all([
      locks.hold(['/a', '/b'], async () => 1),
      locks.hold(['/b', '/a'], async () => 2),
      locks.hold(['/a', '/a'], async () => 3),
    ]);
    expect(done).toEqual([1, 2, 3]);
  });
});
