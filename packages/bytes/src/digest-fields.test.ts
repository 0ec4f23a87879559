import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HoldfastError } from '@holdfast/contract/errors';
import { expectedSha256, legacyDigest, parseDigestField, reprDigest } from './digest-fields.ts';
import { sha256Hex } from './sha256.ts';

// RFC 9530 Appendix B.1: the content {"hello": "world"} and a line feed.
const hex = sha256Hex('{"hello": "world"}\n');
const base64 = 'RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=';

function refusal(run: () => unknown): HoldfastError {
  try {
    run();
  } catch (error) {
    if (error instanceof HoldfastError) return error;
    throw error;
  }
  throw new Error('It was not refused.');
}

describe('writing', () => {
  test('Repr-Digest as in the appendix of RFC 9530', () => {
    expect(reprDigest(hex)).toBe(`sha-256=:${base64}:`);
  });

  test('the older Digest as in RFC 3230', () => {
    expect(legacyDigest(hex)).toBe(`SHA-256=${base64}`);
  });

  test('what is written is read back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const digest = Buffer.from(bytes).toString('hex');
        expect(parseDigestField(reprDigest(digest), 'repr-digest')).toBe(digest);
      }),
    );
  });
});

describe('parseDigestField', () => {
  test.each([
    ['alone', `sha-256=:${base64}:`],
    ['between other algorithms', `md5=:1B2M2Y8AsgTpgAmY7PhCfg==:,\tsha-256=:${base64}: , sha-512=:AA==:`],
    [
      'beside members of other types',
      `a, b=?1, c="x,\\"y", d=-1.5, e=tok/en, sha-256=:${base64}:, *f=:AA==:;g`,
    ],
    ['with parameters', `sha-256=:${base64}:;q=1;  note="a, b"`],
    ['without padding', `sha-256=:${base64.replace('=', '')}:`],
    ['as the last of several', `sha-256=:${Buffer.alloc(32).toString('base64')}:, sha-256=:${base64}:`],
    ['between spaces', `  sha-256=:${base64}:  `],
  ])('finds the sha-256 member %s', (_name, value) => {
    expect(parseDigestField(value, 'content-digest')).toBe(hex);
  });

  test.each(['', 'sha-512=:AA==:', 'unixsum=30637, md5=:AA==:'])('finds none in %j', (value) => {
    expect(parseDigestField(value, 'content-digest')).toBeUndefined();
  });

  test.each([
    ['not base64', 'sha-256=:***:'],
    ['too short', 'sha-256=:AA==:'],
    ['hex in place of base64', `sha-256=:${hex}:`],
    ['no colons', `sha-256=${base64}`],
    ['no closing colon', `sha-256=:${base64}`],
    ['no value', 'sha-256'],
    ['a string', `sha-256="${base64}"`],
    ['an upper-case name', `SHA-256=:${base64}:`],
    ['a trailing comma', `sha-256=:${base64}:,`],
    ['no comma', `md5=:AA==: sha-256=:${base64}:`],
    ['an empty member', `md5=:AA==:,,sha-256=:${base64}:`],
    ['a broken member after a good one', `sha-256=:${base64}:, md5=:`],
  ])('refuses %s and names the field', (_name, value) => {
    const error = refusal(() => parseDigestField(value, 'repr-digest'));
    expect(error.code).toBe('invalid_request');
    expect(error.message).toContain('repr-digest');
    expect(error.errors?.[0]?.field).toBe('repr-digest');
  });

  test('any text is either read or refused, in time linear to its length', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...Array.from('sha-256=:;,"\\?1. \tAa/+*')), maxLength: 200 }),
        (value) => {
          try {
            expect(parseDigestField(value, 'f') ?? hex).toMatch(/^[0-9a-f]{64}$/);
          } catch (error) {
            expect(error).toBeInstanceOf(HoldfastError);
          }
        },
      ),
    );
  });
});

describe('expectedSha256', () => {
  test('reads each of the three fields', () => {
    expect(expectedSha256({ 'x-expected-checksum-sha256': ` ${hex.toUpperCase()} ` })).toBe(hex);
    expect(expectedSha256({ 'content-digest': reprDigest(hex) })).toBe(hex);
    expect(expectedSha256({ 'repr-digest': ['md5=:AA==:', reprDigest(hex)] })).toBe(hex);
  });

  test('is undefined when no field names a SHA-256', () => {
    expect(expectedSha256({})).toBeUndefined();
    expect(expectedSha256({ 'content-digest': 'md5=:AA==:', 'repr-digest': undefined })).toBeUndefined();
  });

  test('accepts several fields that agree', () => {
    const headers = {
      'x-expected-checksum-sha256': hex.toUpperCase(),
      'content-digest': reprDigest(hex),
      'repr-digest': reprDigest(hex),
    };
    expect(expectedSha256(headers)).toBe(hex);
  });

  test('refuses fields that disagree and names both', () => {
    const other = sha256Hex('other');
    const error = refusal(() =>
      expectedSha256({ 'x-expected-checksum-sha256': hex, 'content-digest': reprDigest(other) }),
    );
    expect(error.code).toBe('invalid_request');
    expect(error.message).toContain('x-expected-checksum-sha256');
    expect(error.message).toContain('content-digest');
  });

  test.each(['', 'abc', `${hex}0`, `${hex}, ${hex}`, `0x${hex}`])('refuses %j as hexadecimal', (value) => {
    const error = refusal(() => expectedSha256({ 'x-expected-checksum-sha256': value }));
    expect(error.code).toBe('invalid_request');
    expect(error.errors?.[0]?.field).toBe('x-expected-checksum-sha256');
  });
});
