import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { expect, it } from 'vitest';
import { ParkedBytes } from './parked-bytes.ts';

it('gives back what was parked, of any length and in any order, and leaves no name behind', async () => {
  await using folder = await makeTempDir('parked');
  using parking = new ParkedBytes(folder.path);
  for (let round = 0; round < 3; round += 1) {
    const bodies = [1, 65_536, 65_537, 200_000].map((length) => randomBytes(length));
    const parked = bodies.map((body) => ({ body, place: parking.park(body) }));
    expect(await readdir(folder.path)).toEqual([]);
    for (const { body, place } of parked.toReversed()) {
      if (place === undefined) throw new Error('the disk takes them');
      expect((await parking.take(place)).equals(body)).toBe(true);
    }
  }
});

it('does not park what the disk does not take', () => {
  using parking = new ParkedBytes('/nowhere/at/all');
  expect(parking.park(Buffer.from('a'))).toBeUndefined();
});

it('refuses to read once it is closed', async () => {
  await using folder = await makeTempDir('parked');
  const parking = new ParkedBytes(folder.path);
  const place = parking.park(Buffer.from('a'));
  parking[Symbol.dispose]();
  if (place === undefined) throw new Error('the disk takes it');
  await expect(parking.take(place)).rejects.toThrow('shutting down');
});
