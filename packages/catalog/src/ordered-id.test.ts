import fc from 'fast-check';
import { expect, test } from 'vitest';
import { orderedId } from './ordered-id.ts';

test('an id is a UUID of version 7 that begins with its time', () => {
  // The time of the example in RFC 9562, appendix A.6.
  expect(orderedId(0x01_7f_22_e2_79_b0)).toMatch(
    /^017f22e2-79b0-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
});

test('a later id comes later, and no two are the same', () => {
  const time = fc.integer({ min: 0, max: 2 ** 48 - 1 });
  fc.assert(
    fc.property(time, time, (a, b) => {
      if (a < b) expect(orderedId(a) < orderedId(b)).toBe(true);
      expect(orderedId(a)).not.toBe(orderedId(a));
    }),
  );
});

test('a clock before 1970 is no reason to fail', () => {
  expect(orderedId(-5)).toMatch(/^00000000-0000-7/);
});
