import { segmentProblem } from '@holdfast/bytes/backend-path';
import { Parser } from 'htmlparser2';
import type { AddressBook, Segments } from './address.ts';
import type { ListedName } from './json-index.ts';

/**
 * Reads the names of an HTML index as it comes in: every link to a direct child of the folder; a slash at the end means
 * a folder. What else a page links to (the parent, other orders of the listing, other places) is passed over. Sizes and
 * times are not read: indexes round them.
 */
export class HtmlIndexReader {
  readonly #names = new Map<string, ListedName>();
  readonly #parser: Parser;

  constructor(addresses: AddressBook, folder: Segments) {
    this.#parser = new Parser({
      onopentag: (tag, attributes) => {
        const child = tag === 'a' ? childOf(addresses, folder, attributes['href'] ?? '') : undefined;
        if (child !== undefined) this.#names.set(child.name, child);
      },
    });
  }

  write(text: string): void {
    this.#parser.write(text);
  }

  end(): ListedName[] {
    this.#parser.end();
    return [...this.#names.values()];
  }
}

function childOf(addresses: AddressBook, folder: Segments, href: string): ListedName | undefined {
  // Links with a query change the order of the listing; a scheme without `//` (mailto:) is no address of a file.
  if (href === '' || /[?#]/.test(href)) return undefined;
  if (/^[a-z][a-z0-9+.-]*:(?!\/\/)/i.test(href)) return undefined;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(href) && URL.parse(href)?.origin !== addresses.base.origin)
    return undefined;
  const relative = href.replace(/^(?:\.\/)+/, '');
  const segments = addresses.segmentsOf(relative, folder);
  if (segments?.length !== folder.length + 1) return undefined;
  if (!folder.every((segment, index) => segments[index] === segment)) return undefined;
  const name = segments.at(-1) ?? '';
  if (segmentProblem(name) !== undefined) return undefined;
  const isFolder = relative.endsWith('/');
  return { name, traits: { isFolder, size: undefined, modifiedMs: undefined, etag: undefined } };
}
