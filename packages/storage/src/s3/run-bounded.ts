import { mapBounded } from '../concurrency/bounded.ts';

/**
 * As `mapBounded`, but after the first failure no further call begins, and it is thrown only when those under way have
 * ended: what is cleaned up then is not made again behind the cleaner's back.
 */
export async function runBounded<T, R>(
  items: readonly T[],
  limit: number,
  run: (item: T) => Promise<R>,
): Promise<R[]> {
  const failures: unknown[] = [];
  const results = await mapBounded(items, limit, async (item) => {
    if (failures.length > 0) return [];
    try {
      return [await run(item)];
    } catch (error) {
      failures.push(error);
      return [];
    }
  });
  if (failures.length > 0) throw failures[0];
  return results.flat(1);
}
