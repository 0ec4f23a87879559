import { expect, it } from 'vitest';
import { PartBuffers } from './part-buffers.ts';
import { PART_BYTES } from './part-plan.ts';

const large = 2 * PART_BYTES;

it('uses the memory of larger parts again, and lets it go when parts have become larger still', async () => {
  const buffers = new PartBuffers();
  const [first, second] = [await buffers.take(large, 2), await buffers.take(large, 2)];
  buffers.give(first);
  buffers.give(second);
  expect(await buffers.take(large, 2)).toBe(second);
  expect((await buffers.take(3 * PART_BYTES, 2)).byteLength).toBe(3 * PART_BYTES);
  expect([first, second]).not.toContain(await buffers.take(large, 3));
});

it('has a caller wait for the next one when all are in use', async () => {
  const buffers = new PartBuffers();
  const first = await buffers.take(large, 1);
  const waiting = buffers.take(large, 1);
  buffers.give(first);
  expect(await waiting).toBe(first);
});
