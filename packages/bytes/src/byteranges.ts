import { randomBytes } from 'node:crypto';
import { HoldfastError } from '@holdfast/contract/errors';
import { contentRange } from './ranges.ts';
import type { ByteRange } from './ranges.ts';

/** One part: send `header`, then the bytes of `range`. */
export interface ByterangesPart {
  header: Uint8Array;
  range: ByteRange;
}

/** A multipart/byteranges body that is known to the byte before anything of it is sent. */
export interface ByterangesPlan {
  /** The Content-Type of the response, with the boundary. */
  contentType: string;
  /** Bytes of the whole body: all headers, all ranges, the trailer. */
  contentLength: number;
  parts: ByterangesPart[];
  /** Sent after the last part. */
  trailer: Uint8Array;
}

// A token of RFC 9110 within the limits of RFC 2046 §5.1.1: it needs no quotes in the Content-Type.
const boundaryPattern = /^[0-9A-Za-z_-]{1,70}$/;
const fieldValuePattern = /^[\x20-\x7e]+$/;

/** A boundary that no file holds but by a chance of 2^-144. */
export function randomBoundary(): string {
  return randomBytes(18).toString('base64url');
}

/**
 * Frames several ranges of one file as multipart/byteranges (RFC 9110 §14.6, RFC 2046 §5.1).
 * @param size bytes of the whole file
 * @param contentType of the file; it stands in each part
 * @param boundary see `randomBoundary`
 * @throws HoldfastError `internal` for a boundary or content type that would break the framing.
 */
export function planByteranges(
  ranges: readonly ByteRange[],
  size: number,
  contentType: string,
  boundary: string,
): ByterangesPlan {
  if (!boundaryPattern.test(boundary)) {
    throw new HoldfastError('internal', 'A multipart boundary must be 1 to 70 letters, digits, "_" or "-".');
  }
  if (!fieldValuePattern.test(contentType)) {
    throw new HoldfastError('internal', 'The content type of a multipart answer must be printable ASCII.');
  }
  const trailer = Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1');
  let contentLength = trailer.byteLength;
  const parts = ranges.map((range, index): ByterangesPart => {
    const lines = [
      `--${boundary}`,
      `Content-Type: ${contentType}`,
      `Content-Range: ${contentRange(range, size)}`,
      '',
      '',
    ];
    const header = Buffer.from((index === 0 ? '' : '\r\n') + lines.join('\r\n'), 'latin1');
    contentLength += header.byteLength + (range.end - range.start);
    return { header, range };
  });
  return { contentType: `multipart/byteranges; boundary=${boundary}`, contentLength, parts, trailer };
}
