import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AddressBook } from './address.ts';

const book = new AddressBook(new URL('http://files.example.org/a%20b/pub/'));
const name = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  .filter((text) => text.isWellFormed() && !/[/\\]/.test(text) && text !== '.' && text !== '..');

describe('addresses', () => {
  it('are read back as the segments they were made of, as a path and in full', () => {
    fc.assert(
      fc.property(fc.array(name, { maxLength: 5 }), fc.boolean(), (segments, asFolder) => {
        const url = book.of(segments, { asFolder });
        expect(url.pathname).toMatch(/^[A-Za-z0-9\-._~%/]*$/);
        expect(book.segmentsOf(url.href)).toEqual(segments);
        expect(book.segmentsOf(url.pathname)).toEqual(segments);
      }),
    );
  });

  it('end with a slash for folders', () => {
    expect(book.of(['x'], { asFolder: true }).href).toBe('http://files.example.org/a%20b/pub/x/');
    expect(book.of([], { asFolder: true }).href).toBe('http://files.example.org/a%20b/pub/');
    expect(book.of(["it's (100%)!*"]).href).toBe(
      'http://files.example.org/a%20b/pub/it%27s%20%28100%25%29%21%2A',
    );
  });

  it.each([
    ['http://files.example.org/a%20b/pub/x%2Fy', ['x/y']],
    ['/a b/pub//x/', ['x']],
    ['/a%20b/other/x', undefined],
    ['/x', undefined],
    ['/a%20b/pub/%FF', undefined],
    ['relative', undefined],
    ['/a%20b/pub/x?query#fragment', ['x']],
  ])('of %s give %j', (href, segments) => {
    expect(book.segmentsOf(href)).toEqual(segments);
  });
});
