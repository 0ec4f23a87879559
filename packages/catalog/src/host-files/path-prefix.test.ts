import fc from 'fast-check';
import { expect, test } from 'vitest';
import { prefixEnd } from './path-prefix.ts';

const compare = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const unit = fc.constantFrom('a', 'b', '/', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10ffff}');
const text = fc.string({ unit, maxLength: 6 });

test('between a prefix and its end are exactly the texts that begin with it', () => {
  fc.assert(
    fc.property(text, text, fc.boolean(), (prefix, other, extend) => {
      const candidate = extend ? prefix + other : other;
      const end = prefixEnd(prefix);
      const isBetween = compare(candidate, prefix) >= 0 && (end === null || compare(candidate, end) < 0);
      expect(isBetween).toBe(candidate.startsWith(prefix));
    }),
    { numRuns: 2_000 },
  );
});

test('nothing comes after all texts that begin with the last character, or with none', () => {
  expect(prefixEnd('')).toBeNull();
  expect(prefixEnd('\u{10ffff}')).toBeNull();
  expect(prefixEnd('a\u{10ffff}')).toBe('b');
  expect(prefixEnd('\ud7ff')).toBe('\ue000');
});
