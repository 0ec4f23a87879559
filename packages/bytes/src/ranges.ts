/** A half-open byte range: `start` inclusive, `end` exclusive, so `end - start` bytes. */
export interface ByteRange {
  start: number;
  end: number;
}

/** What a Range field asks of a file: everything, nothing it has, or these ranges (never empty). */
export type RangeRequest =
  | { kind: 'all' }
  | { kind: 'unsatisfiable' }
  | { kind: 'ranges'; ranges: ByteRange[] };

/** Range specs of one field that are looked at; a longer list is ignored as a whole. */
const MAX_RANGE_SPECS = 1000;
/** Ranges answered at once, counted after coalescing; more are answered with the whole file. */
export const MAX_RANGES = 16;
/** Ranges this many bytes apart or less are merged: about the overhead of one more part (RFC 9110 §15.3.7.2). */
export const COALESCE_GAP_BYTES = 80;

const bytesUnit = /^[ \t]*bytes=(.*)$/i;
const rangeSpec = /^(\d*)-(\d*)$/;

/**
 * Reads a Range field for a file of `size` bytes (RFC 9110 §14.1.2, §14.2).
 *
 * Another unit, a malformed list, or a range that ends before it starts makes the field count as absent (`all`).
 * Ranges beyond the end are dropped, or cut at the end; `unsatisfiable` when none is left. A suffix range of an
 * empty file is `all`: it is satisfiable, and there is no other way to say it. Overlapping and near ranges are
 * merged; the others keep the order of the request.
 */
export function parseRangeHeader(value: string | undefined, size: number): RangeRequest {
  const list = value === undefined ? undefined : bytesUnit.exec(value)?.[1];
  if (list === undefined) return { kind: 'all' };
  // RFC 9110 §5.6.1.2: a recipient skips empty list elements.
  const elements = list.split(',', MAX_RANGE_SPECS + 1);
  const specs = elements.map(trimWhitespace).filter((spec) => spec !== '');
  if (specs.length === 0 || elements.length > MAX_RANGE_SPECS) return { kind: 'all' };

  const ranges: ByteRange[] = [];
  let wholeOfEmpty = false;
  for (const spec of specs) {
    const match = rangeSpec.exec(spec);
    const first = match?.[1];
    const last = match?.[2];
    if (first === undefined || last === undefined || (first === '' && last === '')) return { kind: 'all' };
    if (first === '') {
      const length = Math.min(toOffset(last), size);
      if (length > 0) ranges.push({ start: size - length, end: size });
      else if (toOffset(last) > 0) wholeOfEmpty = true;
      continue;
    }
    if (last !== '' && isLess(last, first)) return { kind: 'all' };
    const start = toOffset(first);
    if (start >= size) continue;
    ranges.push({ start, end: last === '' ? size : Math.min(toOffset(last), size - 1) + 1 });
  }
  if (ranges.length === 0) return { kind: wholeOfEmpty ? 'all' : 'unsatisfiable' };
  const merged = coalesce(ranges);
  return merged.length > MAX_RANGES ? { kind: 'all' } : { kind: 'ranges', ranges: merged };
}

/** The Content-Range of a part: `bytes 0-99/1000` (RFC 9110 §14.4). */
export function contentRange(range: ByteRange, size: number): string {
  return `bytes ${range.start}-${range.end - 1}/${size}`;
}

/** The Content-Range of a 416 answer: `bytes`, an asterisk in place of the range, the size (RFC 9110 §14.4). */
export function unsatisfiedContentRange(size: number): string {
  return `bytes */${size}`;
}

/** Merges what overlaps or lies near; a merged range takes the place of its earliest member. */
function coalesce(ranges: ByteRange[]): ByteRange[] {
  if (ranges.length === 1) return ranges;
  const ordered = ranges.map((range, place) => ({ ...range, place })).toSorted((a, b) => a.start - b.start);
  const merged: typeof ordered = [];
  for (const range of ordered) {
    const before = merged.at(-1);
    if (before === undefined || range.start - before.end > COALESCE_GAP_BYTES) {
      merged.push(range);
      continue;
    }
    before.end = Math.max(before.end, range.end);
    before.place = Math.min(before.place, range.place);
  }
  return merged.toSorted((a, b) => a.place - b.place).map(({ start, end }) => ({ start, end }));
}

function trimWhitespace(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

/** Digits as an offset; whatever no file reaches counts as the largest safe integer. */
function toOffset(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
}

/** Compares digits exactly, beyond 2^53 too. */
function isLess(a: string, b: string): boolean {
  const [x, y] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')];
  return x.length === y.length ? x < y : x.length < y.length;
}
