import mime from 'mime';
import { legacyDigest, reprDigest } from '@holdfast/bytes/digest-fields';
import { httpDate } from '@holdfast/bytes/http-date';

/** What the headers of a file say about it. */
export interface FileFacts {
  path: string;
  /** Null while it is being computed: the answer then carries no digest at all. */
  sha256: string | null;
  modifiedAt: Date;
  cacheControl: string;
  /** `attachment; …` for downloads by people; null for machines. */
  disposition: string | null;
}

/** The media type by the file's name; UTF-8 is assumed of text. */
export function mediaTypeOf(path: string): string {
  const type = mime.getType(path) ?? 'application/octet-stream';
  return type.startsWith('text/') ? `${type}; charset=utf-8` : type;
}

export function etagOf(sha256: string | null): string | undefined {
  return sha256 === null ? undefined : `"sha256:${sha256}"`;
}

/**
 * The headers that describe the whole file, as a flat list of names and values. The names are in Title-Case:
 * GRUB 2.06 compares them case-sensitively. None is ever empty: OVMF hangs on an empty value.
 */
export function representationHeaders(facts: FileFacts): string[] {
  const headers = [
    'Last-Modified',
    httpDate(facts.modifiedAt),
    'Accept-Ranges',
    'bytes',
    'Cache-Control',
    facts.cacheControl,
  ];
  if (facts.sha256 !== null) {
    headers.push(
      'ETag',
      `"sha256:${facts.sha256}"`,
      'X-Checksum-SHA256',
      facts.sha256,
      'Repr-Digest',
      reprDigest(facts.sha256),
      'Digest',
      legacyDigest(facts.sha256),
    );
  }
  if (facts.disposition !== null) headers.push('Content-Disposition', facts.disposition);
  // A stored page must never run as if it were part of the console.
  headers.push('X-Content-Type-Options', 'nosniff', 'Content-Security-Policy', 'sandbox');
  return headers;
}

/** RFC 6266: the name in ASCII for old clients, and as it is for the others. */
export function attachment(name: string): string {
  const ascii = name.replace(/[^\x20-\x7e]|["\\%]/g, '_');
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)}`;
}
