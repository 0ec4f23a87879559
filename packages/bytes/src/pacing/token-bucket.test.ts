import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { changeLimit, fullBucket, isFull, isOpen, opensAt, rateLimit, refill } from './token-bucket.ts';

describe('the limit of a rate', () => {
  test('keeps saved-up bytes and one block together within 2 % of a second', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.6, max: 100_000, noNaN: true }), (mbps) => {
        const { blockBytes, burstBytes, bytesPerMs } = rateLimit(mbps);
        expect(blockBytes).toBeGreaterThanOrEqual(1400);
        expect(burstBytes).toBeGreaterThanOrEqual(0);
        expect(blockBytes + burstBytes).toBeLessThanOrEqual(bytesPerMs * 1000 * 0.02 + 1e-6);
      }),
    );
  });

  test('has full blocks from 1000 Mbit/s on and single packets at 1 Mbit/s', () => {
    expect(rateLimit(1000).blockBytes).toBe(512 * 1024);
    expect(rateLimit(1).blockBytes).toBe(1400);
  });
});

test('a debt of any size is paid before the bucket opens again, at the time it tells', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1, max: 10_000, noNaN: true }),
      fc.integer({ min: 1, max: 2 ** 20 }),
      fc.double({ min: 0, max: 1e9, noNaN: true }),
      (mbps, bytes, start) => {
        const bucket = fullBucket(rateLimit(mbps), start);
        bucket.tokens -= bytes;
        const at = opensAt(bucket);
        fc.pre(at > start + 1);
        refill(bucket, start + (at - start) * 0.5);
        expect(bucket.tokens).toBeLessThan(0);
        refill(bucket, at);
        expect(isOpen(bucket)).toBe(true);
        expect(bucket.tokens).toBeLessThan(1 + mbps);
        refill(bucket, at + 21);
        expect(isFull(bucket)).toBe(true);
      },
    ),
  );
});

test('a clock that stands or goes back adds nothing', () => {
  const bucket = fullBucket(rateLimit(8), 100);
  bucket.tokens = 0;
  refill(bucket, 100);
  refill(bucket, 50);
  expect(bucket.tokens).toBe(0);
  refill(bucket, 101);
  expect(bucket.tokens).toBe(1000);
});

test('a debt keeps its length in time when the rate changes', () => {
  const bucket = fullBucket(rateLimit(1000), 0);
  bucket.tokens = -500_000;
  expect(opensAt(bucket)).toBe(4);
  changeLimit(bucket, rateLimit(1), 0);
  expect(opensAt(bucket)).toBeCloseTo(4);
  changeLimit(bucket, rateLimit(100), 2);
  expect(opensAt(bucket)).toBeCloseTo(4);
});
