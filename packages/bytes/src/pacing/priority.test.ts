import fc from 'fast-check';
import { expect, test } from 'vitest';
import { transferPriority } from './priority.ts';

const MIB = 1024 * 1024;

test.each([
  [null, 1],
  [10 * 1024 * MIB, 1],
  [64 * MIB, 1],
  [32 * MIB, 2],
  [16 * MIB, 4],
  [2 * MIB, 32],
  [1, 32],
  [0, 32],
  [-1, 32],
])('%d remaining bytes mean priority %d', (remaining, priority) => {
  expect(transferPriority(remaining)).toBe(priority);
});

test('fewer remaining bytes never mean a lower priority, and it stays within 1 and 32', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (a, b) => {
      const [few, many] = [transferPriority(Math.min(a, b)), transferPriority(Math.max(a, b))];
      expect(few).toBeGreaterThanOrEqual(many);
      expect(many).toBeGreaterThanOrEqual(1);
      expect(few).toBeLessThanOrEqual(32);
    }),
  );
});
