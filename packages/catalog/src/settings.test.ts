import fc from 'fast-check';
import { expect, test } from 'vitest';
import { describeDialects } from './dialect-fixture.ts';

describeDialects(({ open, freshUrl }) => {
  test('nothing is set at first', async () => {
    const { settings } = await open();
    expect(await settings.getAll()).toEqual({});
    expect(await settings.version()).toBe(0);
  });

  test('settings are merged by name; null is a value, undefined is none', async () => {
    const { settings } = await open();
    await settings.setMany({ rate: 1000, networks: ['10.0.0.0/8'], backend: null });
    await settings.setMany({ rate: 1.5, backend: undefined, extra: { deep: [true] } });
    expect(await settings.getAll()).toEqual({
      rate: 1.5,
      networks: ['10.0.0.0/8'],
      backend: null,
      extra: { deep: [true] },
    });
    expect(await settings.version()).toBe(2);
  });

  test('setting nothing is no change', async () => {
    const { settings } = await open();
    await settings.setMany({});
    await settings.setMany({ rate: undefined });
    expect(await settings.version()).toBe(0);
  });

  test('any JSON comes back as it was', async () => {
    const { settings } = await open();
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        const stored: unknown = JSON.parse(JSON.stringify(value));
        await settings.setMany({ value });
        expect((await settings.getAll())['value']).toEqual(stored);
      }),
      { numRuns: 50 },
    );
  });

  test('two hubs that set the same names at once count every change and tear none', async () => {
    const url = await freshUrl();
    const hubs = [await open(url), await open(url)];
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const entries = index % 4 < 2 ? { a: index, b: index } : { b: index, a: index };
        await hubs[index % 2]?.settings.setMany(entries);
      }),
    );
    const all = await hubs[0]?.settings.getAll();
    expect(all?.['a']).toBe(all?.['b']);
    expect(await hubs[1]?.settings.version()).toBe(20);
  });
});
