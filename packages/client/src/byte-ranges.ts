import type { ByteRange } from '@holdfast/bytes/ranges';

/** The ranges together with one more: in order, with no two that overlap or touch. */
export function withRange(ranges: readonly ByteRange[], added: ByteRange): ByteRange[] {
  if (added.start >= added.end) return [...ranges];
  const before = ranges.filter(({ end }) => end < added.start);
  const after = ranges.filter(({ start }) => start > added.end);
  const joined = ranges.filter(({ start, end }) => end >= added.start && start <= added.end);
  const start = Math.min(added.start, ...joined.map((range) => range.start));
  const end = Math.max(added.end, ...joined.map((range) => range.end));
  return [...before, { start, end }, ...after];
}

/** What the ranges (in order, apart) leave out of the bytes from 0 to `size`. */
export function missingRanges(ranges: readonly ByteRange[], size: number): ByteRange[] {
  const missing: ByteRange[] = [];
  let position = 0;
  for (const { start, end } of ranges) {
    if (start > position) missing.push({ start: position, end: Math.min(start, size) });
    position = Math.max(position, end);
  }
  if (position < size) missing.push({ start: position, end: size });
  return missing;
}

/** The ranges in order, each cut into pieces of at most so many bytes. */
export function* pieces(ranges: Iterable<ByteRange>, pieceBytes: number): Generator<ByteRange, void, void> {
  for (const { start, end } of ranges) {
    for (let from = start; from < end; from += pieceBytes) {
      yield { start: from, end: Math.min(end, from + pieceBytes) };
    }
  }
}

/** How many bytes the ranges (apart from each other) have. */
export function bytesIn(ranges: readonly ByteRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}

/** Up to where all bytes from the first on are in the ranges (in order, apart). */
export function prefixOf(ranges: readonly ByteRange[]): number {
  const first = ranges[0];
  return first?.start === 0 ? first.end : 0;
}

const contentRangePattern = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/;

/** Reads the Content-Range of one range of a file of known size (RFC 9110 §14.4); undefined for any other value. */
export function parseContentRange(value: string | null): (ByteRange & { size: number }) | undefined {
  const match = value === null ? null : contentRangePattern.exec(value.trim());
  if (match === null) return undefined;
  const [start, last, size] = match.slice(1).map(Number);
  if (start === undefined || last === undefined || size === undefined) return undefined;
  return start <= last && last < size ? { start, end: last + 1, size } : undefined;
}
