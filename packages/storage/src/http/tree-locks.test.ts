import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { describe, expect, it } from 'vitest';
import { TreeLocks } from './tree-locks.ts';

const path = parseBackendPath;

/** Starts a hold whose action waits until it is let go. */
function start(locks: TreeLocks, paths: string[], scope: 'path' | 'tree') {
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  let isInside = false;
  const done = locks.hold(
    paths.map((one) => path(one)),
    scope,
    async () => {
      isInside = true;
      entered.resolve();
      await gate.promise;
      isInside = false;
    },
  );
  return { entered: entered.promise, release: gate.resolve, done, isInside: () => isInside };
}

describe('tree locks', () => {
  it.each([
    [['/a'], 'path', ['/a'], 'path'],
    [['/a'], 'tree', ['/a/b/c'], 'path'],
    [['/a/b/c'], 'path', ['/a'], 'tree'],
    [['/a', '/b'], 'tree', ['/b/x', '/c'], 'tree'],
  ] as const)('keep %j as %s and %j as %s apart', async (one, oneScope, other, otherScope) => {
    const locks = new TreeLocks();
    const first = start(locks, [...one], oneScope);
    const second = start(locks, [...other], otherScope);
    await first.entered;
    expect(second.isInside()).toBe(false);
    first.release();
    await second.entered;
    expect(first.isInside()).toBe(false);
    second.release();
    await Promise.all([first.done, second.done]);
  });

  it.each([
    [['/a'], 'path', ['/a/b'], 'path'],
    [['/a'], 'tree', ['/ab'], 'path'],
    [['/a/b'], 'tree', ['/a'], 'path'],
    [['/a'], 'tree', ['/b'], 'tree'],
  ] as const)('let %j as %s and %j as %s run side by side', async (one, oneScope, other, otherScope) => {
    const locks = new TreeLocks();
    const first = start(locks, [...one], oneScope);
    const second = start(locks, [...other], otherScope);
    await Promise.all([first.entered, second.entered]);
    expect([first.isInside(), second.isInside()]).toEqual([true, true]);
    first.release();
    second.release();
    await Promise.all([first.done, second.done]);
  });

  it('are free again after an action that failed, and served in the order of arrival', async () => {
    const locks = new TreeLocks();
    const order: number[] = [];
    const failing = locks.hold([path('/a')], 'path', () => Promise.reject(new Error('it failed')));
    const rest = [1, 2, 3].map((number) =>
      locks.hold([path(number === 2 ? '/' : '/a')], 'tree', async () => void order.push(number)),
    );
    await expect(failing).rejects.toThrow('it failed');
    await Promise.all(rest);
    expect(order).toEqual([1, 2, 3]);
  });
});
