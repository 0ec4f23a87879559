import { describe, expect, it } from 'vitest';
import { AddressBook } from './address.ts';
import { HtmlIndexReader } from './html-index.ts';
import { parseJsonIndex } from './json-index.ts';

const addresses = new AddressBook(new URL('http://files.example.org/pub/'));

function htmlNames(text: string, folder: string[] = ['d']): string[] {
  const reader = new HtmlIndexReader(addresses, folder);
  for (const character of text) reader.write(character);
  return reader.end().map(({ name, traits }) => (traits.isFolder ? `${name}/` : name));
}

describe('an HTML index', () => {
  it("gives the children that Apache's links name, and nothing else", () => {
    const page = `<pre><a href="?C=N;O=D">Name</a> <a href="/pub/">Parent Directory</a>
      <a href="b%20c">b c</a> <a href="e&amp;%22%3cf">e</a> <a href="s/">s/</a> <a href="./x">x</a>
      <a href="b%20c"><img src="icon"></a></pre>`;
    expect(htmlNames(page)).toEqual(['b c', 'e&"<f', 's/', 'x']);
  });

  it.each([
    ['../', []],
    ['/pub/d/full', ['full']],
    ['http://files.example.org/pub/d/full', ['full']],
    ['http://other.example.org/pub/d/full', []],
    ['HTTPS://files.example.org/pub/d/full', []],
    ['/pub/other/x', []],
    ['deeper/x', []],
    ['mailto:someone', []],
    ['javascript:alert(1)', []],
    ['a:b', []],
    ['./a:b', ['a:b']],
    ['x#top', []],
    ['%FF', []],
    ['%2e%2e/', []],
    ['a%2Fb', []],
    ['%00', []],
  ])('takes the link %s for %j', (href, names) => {
    expect(htmlNames(`<a href="${href}">x</a>`)).toEqual(names);
  });

  it('does not mind a page that is broken', () => {
    expect(htmlNames('<a href="x"><table><a href=y><a>')).toEqual(['x', 'y']);
  });
});

describe('a JSON index', () => {
  it("gives names, sizes and times in nginx's form", () => {
    const text = JSON.stringify([
      { name: 'f', type: 'file', mtime: 'Wed, 21 Oct 2015 07:28:00 GMT', size: 3 },
      { name: 'd', type: 'directory', mtime: 'Wed, 21 Oct 2015 07:28:00 GMT' },
      { name: '..', type: 'directory' },
      { name: 'a/b', type: 'file', size: 1 },
    ]);
    expect(parseJsonIndex(text)).toEqual([
      { name: 'f', traits: { isFolder: false, size: 3, modifiedMs: 1_445_412_480_000, etag: undefined } },
      {
        name: 'd',
        traits: { isFolder: true, size: undefined, modifiedMs: 1_445_412_480_000, etag: undefined },
      },
    ]);
  });

  it.each(['', '{}', '[1]', '[{"name":"x"}]', '[{"name":1,"type":"file"}]', '[{"name":"x","type":"file"}'])(
    'is not %s',
    (text) => {
      expect(parseJsonIndex(text)).toBeUndefined();
    },
  );
});
