import { isRoot, RESERVED_FOLDER, segmentsOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { STAGING_FOLDER } from '../volume/staging-slot.ts';

/** Where a file or folder is on the server: its decoded segments below the base address. */
export type Segments = readonly string[];

/** Where Holdfast keeps its own files on the server. */
export const RESERVED: Segments = [RESERVED_FOLDER];
export const STAGING: Segments = [RESERVED_FOLDER, STAGING_FOLDER];
export const MARKER: Segments = [RESERVED_FOLDER, 'volume.json'];

/** The segments of a path of the backend. */
export function segmentsAt(path: BackendPath): Segments {
  return isRoot(path) ? [] : segmentsOf(path);
}

/** The addresses below one base address. */
export class AddressBook {
  readonly base: URL;
  readonly #baseSegments: Segments;

  constructor(base: URL) {
    this.base = base;
    this.#baseSegments = decodeSegments(base.pathname) ?? [];
  }

  /** The address of a file, or with `asFolder` of a folder, which ends with a slash (RFC 4918 §5.2). */
  of(segments: Segments, options: { asFolder?: boolean } = {}): URL {
    const encoded = segments.map(encodeSegment).join('/');
    const slash = options.asFolder === true && segments.length > 0 ? '/' : '';
    return new URL(`${this.base.origin}${this.base.pathname}${encoded}${slash}`);
  }

  /**
   * The segments below the base that an address names, or undefined when it is not below it. Takes absolute addresses
   * and absolute paths (RFC 4918 §8.3) and, when a folder is given, addresses relative to it.
   */
  segmentsOf(href: string, folder?: Segments): Segments | undefined {
    const { pathname, isRelative } = pathnameOf(href);
    const segments = decodeSegments(pathname);
    if (segments === undefined) return undefined;
    if (isRelative) return folder === undefined ? undefined : [...folder, ...segments];
    const isBelow = this.#baseSegments.every((segment, index) => segments[index] === segment);
    return isBelow ? segments.slice(this.#baseSegments.length) : undefined;
  }
}

/** Percent-encodes all of a segment but the unreserved characters (RFC 3986 §2.3), so that no server can read more into it. */
function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replace(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function pathnameOf(href: string): { pathname: string; isRelative: boolean } {
  const withoutOrigin = href.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '');
  const isAbsolute = withoutOrigin !== href || href.startsWith('/');
  return { pathname: withoutOrigin.replace(/[?#].*$/s, ''), isRelative: !isAbsolute };
}

/** Empty segments are dropped: a doubled slash and the slash at the end of a folder mean nothing more. */
function decodeSegments(pathname: string): Segments | undefined {
  try {
    return pathname
      .split('/')
      .filter((segment) => segment !== '')
      .map((segment) => decodeURIComponent(segment));
  } catch {
    return undefined; // not UTF-8: such a name cannot be a path of a backend
  }
}
