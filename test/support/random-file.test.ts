import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { HashedSource, RandomContent } from './random-file.ts';

it('is the same for the same seed and another for another', () => {
  const [a, again, b] = ['a', 'a', 'b'].map((seed) => new RandomContent(seed, 5_000).bytes());
  expect(again).toEqual(a);
  expect(b).not.toEqual(a);
});

it('knows the SHA-256 of its bytes, also of none', async () => {
  for (const size of [0, 1, 3 * 1024 * 1024 + 7]) {
    const content = new RandomContent('digest', size);
    const streamed = await buffer(content.stream());
    expect(streamed.length).toBe(size);
    expect(content.sha256()).toBe(createHash('sha256').update(streamed).digest('hex'));
  }
});

it('gives every range as it is in the whole', () => {
  const size = 2 * 1024 * 1024 + 33;
  const content = new RandomContent('ranges', size);
  const whole = content.bytes();
  const offset = fc.integer({ min: 0, max: size });
  fc.assert(
    fc.property(offset, offset, (a, b) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      expect(content.bytes(start, end).equals(whole.subarray(start, end))).toBe(true);
    }),
    { numRuns: 50 },
  );
});

it('reaches beyond 4 GiB without making what lies before', () => {
  const size = 8 * 1024 ** 3;
  const content = new RandomContent('large', size);
  const tail = content.bytes(size - 100);
  expect(tail.length).toBe(100);
  expect(content.bytes(size - 60, size - 20)).toEqual(tail.subarray(40, 80));
});

it('is hashed as it passes', async () => {
  const content = new RandomContent('passing', 3_000_000);
  const source = new HashedSource(content.pieces());
  expect((await buffer(source.stream())).equals(content.bytes())).toBe(true);
  expect(source.sha256()).toBe(content.sha256());
});

it('tells foreign bytes from its own, in chunks of any size', () => {
  const content = new RandomContent('checked', 2_500_000);
  const bytes = content.bytes(1000);
  const check = content.checker(1000);
  expect(check(bytes.subarray(0, 77))).toBe(true);
  expect(check(bytes.subarray(77, 2_000_000))).toBe(true);
  const flipped = Buffer.from(bytes.subarray(2_000_000));
  flipped.writeUInt8(flipped.readUInt8(5) ^ 1, 5);
  expect(check(flipped)).toBe(false);
});
