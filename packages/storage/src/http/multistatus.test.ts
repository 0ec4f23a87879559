import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MultistatusError, MultistatusReader } from './multistatus.ts';
import type { DavResource } from './multistatus.ts';

const body = `<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:">
<D:response xmlns:lp1="DAV:" xmlns:lp2="http://apache.org/dav/props/">
<D:href>/d/e&amp;%22%3cf</D:href>
<D:propstat><D:prop>
<lp1:resourcetype/><lp1:getcontentlength>12</lp1:getcontentlength><lp2:getetag>"no"</lp2:getetag>
<lp1:getlastmodified>Sat, 21 Nov 2026 08:42:08 GMT</lp1:getlastmodified><lp1:getetag>W/"c-1"</lp1:getetag>
</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
<D:propstat><D:prop><D:quota-used-bytes>7</D:quota-used-bytes></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>
</D:response>
<D:response><D:href><![CDATA[/d/s/]]></D:href><D:propstat><D:prop>
<D:resourcetype><D:collection></D:collection></D:resourcetype>
</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
</D:multistatus>
`;

function read(pieces: readonly string[]): DavResource[] {
  const found: DavResource[] = [];
  const reader = new MultistatusReader((resource) => found.push(resource));
  for (const piece of pieces) reader.write(piece);
  reader.end();
  return found;
}

describe('a multistatus', () => {
  it('gives resources with the properties that are there, by namespace', () => {
    expect(read([body])).toEqual([
      {
        href: '/d/e&%22%3cf',
        isFolder: false,
        contentLength: '12',
        lastModified: 'Sat, 21 Nov 2026 08:42:08 GMT',
        etag: 'W/"c-1"',
      },
      { href: '/d/s/', isFolder: true },
    ]);
  });

  it('is read the same however it is cut', () => {
    const whole = read([body]);
    fc.assert(
      fc.property(fc.array(fc.nat(body.length), { maxLength: 20 }), (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), body.length];
        expect(read(at.slice(1).map((end, index) => body.slice(at[index], end)))).toEqual(whole);
      }),
    );
  });

  it('is refused when it is cut off anywhere', () => {
    fc.assert(
      fc.property(fc.nat(body.trimEnd().length - 1), (length) => {
        expect(() => read([body.slice(0, length)])).toThrow(MultistatusError);
      }),
    );
  });

  it('never loses or invents a resource when one character is damaged outside of values', () => {
    const names = [...body.matchAll(/[a-z]+(?=[>/ ])/g)].filter((match) =>
      /<\/?D:$/.test(body.slice(0, match.index)),
    );
    for (const { index } of names) {
      const damaged = `${body.slice(0, index)}\ufffd${body.slice(index + 1)}`;
      let found: DavResource[];
      try {
        found = read([damaged]);
      } catch (error) {
        expect(error).toBeInstanceOf(MultistatusError);
        continue;
      }
      expect(found.map(({ href }) => href)).toEqual(['/d/e&%22%3cf', '/d/s/']);
    }
  });

  it.each([
    ['a page', '<html></html>'],
    ['another namespace', '<multistatus xmlns="http://example.org/"></multistatus>'],
    ['a document type', '<!DOCTYPE multistatus><multistatus xmlns="DAV:"></multistatus>'],
    ['nothing', ''],
    ['a resource without an address', '<multistatus xmlns="DAV:"><response></response></multistatus>'],
    ['properties without a status', body.replaceAll(/<D:status>[^<]*<\/D:status>/g, '')],
    ['nesting without end', '<multistatus xmlns="DAV:">'.repeat(100)],
    ['a value without end', `<multistatus xmlns="DAV:"><response><href>${'x'.repeat(70_000)}`],
  ])('is refused as %s', (_what, text) => {
    expect(() => read([text])).toThrow(MultistatusError);
  });

  it('knows no entities but those of XML itself', () => {
    const text =
      '<multistatus xmlns="DAV:"><response><href>/&lt;&#65;&nbsp;&xxe;</href></response></multistatus>';
    expect(read([text])[0]?.href).toBe('/<A&nbsp;&xxe;');
  });
});
