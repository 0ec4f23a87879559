import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { describeDialects } from './dialect-fixture.ts';

describeDialects(({ open, freshUrl }) => {
  test('a value is kept until it is set again', async () => {
    const { meta } = await open();
    expect(await meta.get('key')).toBeNull();
    await meta.set('key', 'one');
    await meta.set('key', 'two');
    expect(await meta.get('key')).toBe('two');
  });

  test('getOrSet makes a value only when there is none', async () => {
    const { meta } = await open();
    expect(await meta.getOrSet('key', () => 'made')).toBe('made');
    expect(
      await meta.getOrSet('key', () => {
        throw new Error('not needed');
      }),
    ).toBe('made');
  });

  test('of twenty callers of two hubs at once all get the same value', async () => {
    const url = await freshUrl();
    const hubs = [await open(url), await open(url)] as const;
    const values = await Promise.all(
      Array.from({ length: 20 }, (_, index) => hubs[index % 2 === 0 ? 0 : 1].meta.getOrSet('id', randomUUID)),
    );
    expect(new Set(values).size).toBe(1);
    expect(await hubs[0].meta.get('id')).toBe(values[0]);
  });
});
