import fc from 'fast-check';
import { expect, it } from 'vitest';
import { mapBounded } from './bounded.ts';

it('gives results in the order of the items, and never has more under way than allowed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.nat(), { maxLength: 12 }),
      fc.integer({ min: 1, max: 5 }),
      async (scheduler, items, limit) => {
        let underWay = 0;
        let most = 0;
        const mapping = mapBounded(items, limit, async (item) => {
          underWay += 1;
          most = Math.max(most, underWay);
          await scheduler.schedule(Promise.resolve());
          underWay -= 1;
          return item * 2;
        });
        const results = await scheduler.waitFor(mapping);
        expect(results).toEqual(items.map((item) => item * 2));
        expect(most).toBe(Math.min(limit, items.length));
      },
    ),
  );
});

it('ends with the first failure', async () => {
  const failure = new Error('the second');
  const mapping = mapBounded([1, 2, 3], 1, async (item) => {
    if (item === 2) throw failure;
  });
  await expect(mapping).rejects.toBe(failure);
});
