import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RateMeter } from './rate-meter.ts';

test('a steady rate shows at its height, early and late', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e9 }),
      fc.integer({ min: 1, max: 100 }),
      (bytesPerStep, seconds) => {
        const meter = new RateMeter(1000);
        for (let ms = 5; ms <= seconds * 1000; ms += 5) meter.add(bytesPerStep, 1000 + ms);
        const rate = meter.rate(1000 + seconds * 1000);
        expect(rate / (bytesPerStep * 200)).toBeGreaterThan(0.98);
        expect(rate / (bytesPerStep * 200)).toBeLessThan(1.02);
      },
    ),
    { numRuns: 20 },
  );
});

test('it follows a change within a few seconds and fades to nothing', () => {
  const meter = new RateMeter(0);
  meter.add(1_000_000, 500);
  expect(meter.rate(500)).toBeGreaterThan(1_000_000);
  expect(meter.rate(3500)).toBeLessThan(60_000);
  expect(meter.rate(30_000)).toBeLessThan(1);
});

test('the first block does not look like an endless rate', () => {
  const meter = new RateMeter(0);
  meter.add(1000, 0);
  expect(meter.rate(0)).toBeLessThan(1000 * 25);
});
