import { HoldfastError } from '@holdfast/contract/errors';
import type { ByteRange, StorageEntry } from '../backend.ts';

/**
 * The bytes of an open file that a read is about: the range asked for, or all.
 * @throws HoldfastError `range_not_satisfiable` when the file has no such bytes
 */
export function openedRange(entry: StorageEntry, range: ByteRange | undefined): ByteRange {
  const { start, end } = range ?? { start: 0, end: entry.size };
  const isWhole = Number.isSafeInteger(start) && Number.isSafeInteger(end);
  if (isWhole && start >= 0 && start <= end && end <= entry.size) return { start, end };
  const text = `Bytes ${start} to ${end} of ${entry.path} were asked for, but it has ${entry.size}.`;
  throw new HoldfastError('range_not_satisfiable', text);
}
