import type { HeaderFields } from './digest-fields.ts';
import { parseHttpDate } from './http-date.ts';

/** An entity tag (RFC 9110 §8.8.3): `opaque` with its quotes, without the `W/` of a weak one. */
export interface EntityTag {
  weak: boolean;
  opaque: string;
}

/**
 * What the preconditions of a request come to: `proceed`; `proceed-whole`, the same with the Range field ignored
 * (If-Range did not match); `not-modified`, 304; `precondition-failed`, 412.
 */
export type ConditionOutcome = 'proceed' | 'proceed-whole' | 'not-modified' | 'precondition-failed';

export interface ConditionInput {
  method: string;
  /** Names in lower case. */
  headers: HeaderFields;
  /** The strong entity tag of the file with its quotes; undefined while its bytes are not hashed. */
  etag: string | undefined;
  lastModified: Date;
}

// RFC 9110 §8.8.3; the value may hold commas, so the list is scanned and not split.
const entityTag = /(W\/)?("[\x21\x23-\x7e\x80-\xff]*")/y;
const listGap = /[ \t]*(?:,[ \t]*)*/y;

/**
 * Reads If-Match or If-None-Match: `*`, or a list of entity tags (RFC 9110 §13.1.1, §13.1.2).
 * Undefined when the value is malformed or empty.
 */
export function parseEntityTags(value: string): '*' | EntityTag[] | undefined {
  const text = value.replace(/^[ \t,]+|[ \t,]+$/g, '');
  if (text === '*') return '*';
  const tags: EntityTag[] = [];
  let offset = 0;
  while (offset < text.length) {
    entityTag.lastIndex = offset;
    const match = entityTag.exec(text);
    const opaque = match?.[2];
    if (match === null || opaque === undefined) return undefined;
    tags.push({ weak: match[1] !== undefined, opaque });
    offset = entityTag.lastIndex;
    if (offset === text.length) break;
    listGap.lastIndex = offset;
    const gap = listGap.exec(text)?.[0] ?? '';
    if (!gap.includes(',')) return undefined;
    offset += gap.length;
  }
  return tags.length === 0 ? undefined : tags;
}

/**
 * Evaluates the preconditions of a request for a file that exists, in the order of RFC 9110 §13.2.2, at a
 * granularity of seconds. A malformed If-Match is false (nothing may be lost by it); other malformed fields
 * count as absent, except that a malformed If-Range makes the answer whole.
 */
export function evaluateConditions(input: ConditionInput): ConditionOutcome {
  const { etag } = input;
  const modified = wholeSeconds(input.lastModified);
  const readOnly = input.method === 'GET' || input.method === 'HEAD';

  const ifMatch = field(input.headers, 'if-match');
  if (ifMatch !== undefined) {
    if (!matchesStrongly(ifMatch, etag)) return 'precondition-failed';
  } else {
    const since = dateField(input.headers, 'if-unmodified-since');
    if (since !== undefined && modified > since) return 'precondition-failed';
  }

  const noneOf = field(input.headers, 'if-none-match');
  const noneOfTags = noneOf === undefined ? undefined : parseEntityTags(noneOf);
  if (noneOfTags !== undefined) {
    const matches = noneOfTags === '*' || noneOfTags.some((tag) => tag.opaque === etag);
    if (matches) return readOnly ? 'not-modified' : 'precondition-failed';
  } else if (readOnly && noneOf === undefined) {
    const since = dateField(input.headers, 'if-modified-since');
    if (since !== undefined && modified <= since) return 'not-modified';
  }

  const ifRange = field(input.headers, 'if-range');
  if (ifRange !== undefined && input.headers['range'] !== undefined) {
    return rangeStillValid(ifRange, etag, modified) ? 'proceed' : 'proceed-whole';
  }
  return 'proceed';
}

function matchesStrongly(value: string, etag: string | undefined): boolean {
  const tags = parseEntityTags(value);
  if (tags === '*') return true;
  return tags?.some((tag) => !tag.weak && tag.opaque === etag) ?? false;
}

/** RFC 9110 §13.1.5: a strong entity tag, or a date that equals Last-Modified exactly. */
function rangeStillValid(value: string, etag: string | undefined, modified: number): boolean {
  const text = value.trim();
  if (text.startsWith('"')) return text === etag;
  return parseHttpDate(text)?.getTime() === modified;
}

function field(headers: HeaderFields, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

function dateField(headers: HeaderFields, name: string): number | undefined {
  const value = field(headers, name);
  return value === undefined ? undefined : parseHttpDate(value)?.getTime();
}

function wholeSeconds(date: Date): number {
  return Math.floor(date.getTime() / 1000) * 1000;
}
