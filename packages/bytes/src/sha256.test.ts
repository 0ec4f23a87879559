import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EMPTY_SHA256, isSha256Hex, sha256Hex, StreamDigest } from './sha256.ts';

test('the digest of no bytes is the known constant', () => {
  expect(sha256Hex(new Uint8Array())).toBe(EMPTY_SHA256);
  expect(new StreamDigest().hex()).toBe(EMPTY_SHA256);
});

test('the digest of "abc" is the one of FIPS 180-4', () => {
  const expected = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  expect(sha256Hex('abc')).toBe(expected);
  expect(sha256Hex(Buffer.from('abc'))).toBe(expected);
});

test('a digest of chunks equals the digest of the whole, and counts the bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 }), (chunks) => {
      const digest = new StreamDigest();
      for (const chunk of chunks) digest.update(chunk);
      const whole = Buffer.concat(chunks);
      expect(digest.bytes).toBe(whole.byteLength);
      expect(digest.hex()).toBe(createHash('sha256').update(whole).digest('hex'));
      expect(digest.hex()).toBe(sha256Hex(whole));
    }),
  );
});

test('a chunk may be reused after it was taken in', () => {
  const chunk = Buffer.from('abc');
  const digest = new StreamDigest();
  digest.update(chunk);
  chunk.fill(0);
  expect(digest.hex()).toBe(sha256Hex('abc'));
});

test('a digest takes nothing in after its end', () => {
  const digest = new StreamDigest();
  digest.hex();
  expect(() => digest.update(Buffer.from('x'))).toThrow('Digest already called');
});

test('only 64 lower-case hexadecimal digits are a SHA-256', () => {
  expect(isSha256Hex(EMPTY_SHA256)).toBe(true);
  for (const value of [
    EMPTY_SHA256.toUpperCase(),
    EMPTY_SHA256.slice(1),
    `${EMPTY_SHA256}\n`,
    `${EMPTY_SHA256}0`,
    7,
  ]) {
    expect(isSha256Hex(value)).toBe(false);
  }
});
