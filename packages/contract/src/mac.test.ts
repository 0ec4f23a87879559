import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mac, macInput, normaliseMac } from './mac.ts';

describe('a MAC address', () => {
  it.each([
    '52:54:00:ab:cd:ef',
    '52-54-00-AB-CD-EF',
    '525400abcdef',
    '5254.00ab.cdef',
    ' 52:54:00:AB:CD:EF\n',
  ])('is taken as %j', (text) => {
    expect(normaliseMac(text)).toBe('52:54:00:ab:cd:ef');
  });

  it.each([
    '',
    '52:54:00:ab:cd',
    '52:54:00:ab:cd:ef:01',
    '52:54-00:ab:cd:ef',
    '5254.00abcdef',
    '52:54:00:ab:cd:eg',
    '5:54:0:ab:cd:ef',
    '01-52-54-00-ab-cd-ef',
    '52:54:00:ab:cd:ef\n52:54:00:ab:cd:ef',
  ])('is refused as %j', (text) => {
    expect(normaliseMac(text)).toBeUndefined();
    expect(macInput.safeParse(text).error?.issues[0]?.message).toContain('must be a MAC address');
  });

  it('comes out in one form from every form of the same address', () => {
    const octets = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(octets, fc.boolean(), (bytes, upper) => {
        const pairs = bytes.map((byte) => byte.toString(16).padStart(2, '0'));
        const bare = pairs.join('');
        const forms = [pairs.join(':'), pairs.join('-'), bare, (bare.match(/.{4}/g) ?? []).join('.')];
        for (const form of forms) {
          const parsed = macInput.parse(upper ? form.toUpperCase() : form);
          expect(parsed).toBe(pairs.join(':'));
          expect(mac.parse(parsed)).toBe(parsed);
        }
      }),
    );
  });
});
