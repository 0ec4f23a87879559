import { HoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { requireNotMore, requireSha256, requireSize } from './announced-bytes.ts';
import { sha256Hex } from './sha256.ts';

function codeOf(check: () => void): string {
  try {
    check();
    return 'fine';
  } catch (error) {
    if (error instanceof HoldfastError) return error.code;
    throw error;
  }
}

it('takes just the size that was announced, and meets too much before the end', () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (expectedSize, received) => {
      const whole = received === expectedSize ? 'fine' : 'incomplete_body';
      expect(codeOf(() => requireSize('/a', { expectedSize }, received))).toBe(whole);
      const soFar = received <= expectedSize ? 'fine' : 'incomplete_body';
      expect(codeOf(() => requireNotMore('/a', { expectedSize }, received))).toBe(soFar);
    }),
  );
});

it('takes just the bytes that were announced', () => {
  const expectedSha256 = sha256Hex('a');
  expect(codeOf(() => requireSha256('/a', { expectedSha256 }, sha256Hex('a')))).toBe('fine');
  expect(codeOf(() => requireSha256('/a', { expectedSha256 }, sha256Hex('b')))).toBe('checksum_mismatch');
});

it('takes anything when nothing was announced', () => {
  expect(codeOf(() => requireSize('/a', {}, 7))).toBe('fine');
  expect(codeOf(() => requireSha256('/a', {}, sha256Hex('b')))).toBe('fine');
});

it('names the file and what came', () => {
  expect(() => requireSize('/isos/a.iso', { expectedSize: 5 }, 3)).toThrow(
    '/isos/a.iso was announced with 5 bytes, but only 3 came.',
  );
});
