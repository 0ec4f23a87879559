import { HoldfastError } from '@holdfast/contract/errors';

/** One page of a list. */
export interface Page<Row> {
  rows: Row[];
  /** Set when there is more: the `cursor` of the next call. */
  nextCursor?: string;
}

/** A page of a list that also knows how many rows the whole list has. */
export interface CountedPage<Row> extends Page<Row> {
  total: number;
}

/** Where a list ordered by a time and an id goes on: after this row. */
export interface TimeKey {
  at: number;
  id: string;
}

/** Where a list ordered by two texts goes on: after this row. */
export interface TextKey {
  first: string;
  second: string;
}

/** Where a list of the versions of host files goes on: after this one. */
export interface VersionKey {
  hostname: string;
  filepath: string;
  version: number;
}

/** An opaque cursor for a list ordered by time and id. `list` keeps the cursor of one list out of another. */
export function encodeTimeCursor(list: string, key: TimeKey): string {
  return encode([list, key.at, key.id]);
}

/** @throws HoldfastError `invalid_request` naming the field `cursor` */
export function decodeTimeCursor(list: string, cursor: string): TimeKey {
  const [at, id] = decode(list, cursor, 2);
  if (typeof at !== 'number' || !Number.isSafeInteger(at) || !isText(id)) throw malformed();
  return { at, id };
}

/** An opaque cursor for a list ordered by two texts. */
export function encodeTextCursor(list: string, key: TextKey): string {
  return encode([list, key.first, key.second]);
}

/** @throws HoldfastError `invalid_request` naming the field `cursor` */
export function decodeTextCursor(list: string, cursor: string): TextKey {
  const [first, second] = decode(list, cursor, 2);
  if (!isText(first) || !isText(second)) throw malformed();
  return { first, second };
}

/** An opaque cursor for a list ordered by hostname, filepath and version. */
export function encodeVersionCursor(list: string, key: VersionKey): string {
  return encode([list, key.hostname, key.filepath, key.version]);
}

/** @throws HoldfastError `invalid_request` naming the field `cursor` */
export function decodeVersionCursor(list: string, cursor: string): VersionKey {
  const [hostname, filepath, version] = decode(list, cursor, 3);
  if (!isText(hostname) || !isText(filepath)) throw malformed();
  if (typeof version !== 'number' || !Number.isSafeInteger(version)) throw malformed();
  return { hostname, filepath, version };
}

/**
 * How many rows to ask for: one more than the page, to know whether there is a next one.
 * @throws HoldfastError `invalid_request` naming the field `limit`
 */
export function rowsToFetch(limit: number): number {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    const message = 'The limit must be a whole number of at least 1.';
    throw new HoldfastError('invalid_request', message, { errors: [{ field: 'limit', message }] });
  }
  return limit + 1;
}

/** Cuts what `rowsToFetch` asked for down to the page, with the cursor of its last row when there is more. */
export function toPage<Raw, Row>(
  fetched: readonly Raw[],
  limit: number,
  toRow: (raw: Raw) => Row,
  cursorOf: (raw: Raw) => string,
): Page<Row> {
  const page = fetched.slice(0, limit);
  const rows = page.map(toRow);
  const last = page.at(-1);
  return fetched.length > limit && last !== undefined ? { rows, nextCursor: cursorOf(last) } : { rows };
}

function encode(parts: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(parts), 'utf8').toString('base64url');
}

function decode(list: string, cursor: string, length: number): unknown[] {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch (error) {
    throw malformed(error);
  }
  if (!Array.isArray(parts) || parts.length !== length + 1 || parts[0] !== list) throw malformed();
  return parts.slice(1);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed() && !value.includes('\0');
}

function malformed(cause?: unknown): HoldfastError {
  const message = 'The cursor is not one that this list gave out. Start again without it.';
  return new HoldfastError('invalid_request', message, { cause, errors: [{ field: 'cursor', message }] });
}
