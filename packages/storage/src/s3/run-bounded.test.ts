import { expect, it } from 'vitest';
import { runBounded } from './run-bounded.ts';

it('gives results in the order of the items', async () => {
  const doubled = await runBounded([3, 1, 2], 2, async (item) => item * 2);
  expect(doubled).toEqual([6, 2, 4]);
});

it('after a failure begins nothing more, and waits for what is under way', async () => {
  const begun: number[] = [];
  const ended: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const failure = new Error('the second one failed');
  const run = runBounded([1, 2, 3, 4, 5], 2, async (item) => {
    begun.push(item);
    if (item === 2) {
      queueMicrotask(resolve);
      throw failure;
    }
    await promise;
    ended.push(item);
  });
  await expect(run).rejects.toBe(failure);
  expect(begun).toEqual([1, 2]);
  expect(ended).toEqual([1]);
});
