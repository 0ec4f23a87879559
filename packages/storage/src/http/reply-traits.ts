import { HoldfastError } from '@holdfast/contract/errors';
import type { Traits } from './entry.ts';
import { garbledReply } from './failure.ts';
import type { HttpReply } from './reply.ts';

/** An HTTP date in milliseconds (RFC 9110 §5.6.7), or undefined when there is none or it is none. */
export function parseDate(text: string | undefined): number | undefined {
  const value = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(value) ? undefined : value;
}

/** A count of bytes in decimal digits, or undefined. */
export function parseSize(text: string | undefined): number | undefined {
  const value = text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined;
  return Number.isSafeInteger(value) ? value : undefined;
}

export interface ContentRange {
  start: number;
  /** Exclusive. */
  end: number;
  /** Bytes of the whole file; undefined for `*`. */
  total: number | undefined;
}

/** The value of a Content-Range header of a single range (RFC 9110 §14.4), or undefined. */
export function parseContentRange(text: string | undefined): ContentRange | undefined {
  const [, first, last, total] = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(text ?? '') ?? [];
  const [start, end] = [parseSize(first), parseSize(last)];
  if (start === undefined || end === undefined || end < start) return undefined;
  return { start, end: end + 1, total: parseSize(total) };
}

/**
 * What the headers of a reply to GET or HEAD tell of the file.
 * @throws HoldfastError `not_supported` when the server compresses, `backend_unavailable` when the headers are damaged
 */
export function traitsOf(reply: HttpReply, doing: string): Traits {
  const coding = reply.header('content-encoding');
  if (coding !== undefined && coding !== '' && coding.toLowerCase() !== 'identity') {
    const text = `${doing} failed: the web server sends it compressed (${coding}) though it was asked not to. Switch that off.`;
    throw new HoldfastError('not_supported', text);
  }
  const length = reply.header('content-length');
  let size = parseSize(length);
  if (length !== undefined && size === undefined)
    throw garbledReply(doing, 'a Content-Length that is no number');
  if (reply.status === 206) {
    const range = parseContentRange(reply.header('content-range'));
    if (range === undefined) throw garbledReply(doing, 'a part without a proper Content-Range');
    size = range.total;
  }
  const modified = reply.header('last-modified');
  return { isFolder: false, size, modifiedMs: parseDate(modified), etag: reply.header('etag') };
}
