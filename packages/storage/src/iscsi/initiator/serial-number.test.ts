import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isAfter, nextSerial } from './serial-number.ts';

const serial = fc.integer({ min: 0, max: 0xffff_ffff });

it('the next number is after, and rolls over to zero', () => {
  fc.assert(
    fc.property(serial, (number) => {
      expect(isAfter(nextSerial(number), number)).toBe(true);
      expect(isAfter(number, nextSerial(number))).toBe(false);
      expect(isAfter(number, number)).toBe(false);
    }),
  );
  expect(nextSerial(0xffff_ffff)).toBe(0);
});

it('a number is after the two thousand million before it, also across zero', () => {
  fc.assert(
    fc.property(serial, fc.integer({ min: 1, max: 0x7fff_ffff }), (number, distance) => {
      expect(isAfter((number + distance) >>> 0, number)).toBe(true);
    }),
  );
});
