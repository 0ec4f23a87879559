import { expect, it } from 'vitest';
import { refusal } from '../conformance/subject.ts';
import { Slots } from './slots.ts';

it('lets so many in at a time, in the order in which they came, whatever becomes of those before', async () => {
  const slots = new Slots(2);
  const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
  const begun: number[] = [];
  const runs = gates.map(({ promise }, index) =>
    slots.run(undefined, 'Sending', async () => {
      begun.push(index);
      await promise;
    }),
  );
  await Promise.resolve();
  expect(begun).toEqual([0, 1]);
  gates[1]?.reject(new Error('no'));
  await expect(runs[1]).rejects.toThrow('no');
  expect(begun).toEqual([0, 1, 2]);
  for (const { resolve } of gates) resolve();
  await Promise.all([runs[0], runs[2], runs[3]]);
  expect(begun).toEqual([0, 1, 2, 3]);
});

it('lets go of those who do not want to wait any more', async () => {
  const slots = new Slots(1);
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = slots.run(undefined, 'Sending', () => promise);
  const stop = new AbortController();
  const second = slots.run(stop.signal, 'Sending', async () => 'second');
  const third = slots.run(undefined, 'Sending', async () => 'third');
  stop.abort();
  await refusal(second, 'cancelled');
  resolve();
  await first;
  expect(await third).toBe('third');
});
