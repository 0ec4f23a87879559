import { HoldfastError } from '@holdfast/contract/errors';
import { MODE_BITS } from './entry.ts';
import type { SyncAction, SyncFile } from './entry.ts';
import type { PathOrder } from './order.ts';

/** How two files with the same path are compared. */
export interface CompareRules {
  /** Times and permission bits of both sides are those of the file itself (host files), not of its arrival (backends). */
  keepsTimes: boolean;
  /** Only the bytes count as proof, whatever the times say. */
  byChecksum: boolean;
  /** The SHA-256 of a file, lower-case hex; null when it is not known and cannot be computed here. */
  sha256Of: (file: SyncFile) => Promise<string | null>;
}

/** Times that went through a file system with floating point seconds differ by that much, in milliseconds. */
const TIME_TOLERANCE_MS = 1;

/** What makes the destination's file like the source's, or null when it is. */
export async function difference(
  source: SyncFile,
  destination: SyncFile,
  rules: CompareRules,
): Promise<'replace' | 'touch' | null> {
  if (source.size !== destination.size) return 'replace';
  const isTimely = !rules.keepsTimes || isSameTime(source.mtimeMs, destination.mtimeMs);
  const isTold = rules.keepsTimes && source.mtimeMs !== null;
  const rest = isTimely && (!rules.keepsTimes || isSameMode(source.mode, destination.mode)) ? null : 'touch';
  if (isTold && isTimely && !rules.byChecksum) return rest;
  const [wanted, found] = await Promise.all([rules.sha256Of(source), rules.sha256Of(destination)]);
  return wanted === null || wanted !== found ? 'replace' : rest;
}

function isSameTime(source: number | null, destination: number | null): boolean {
  if (source === null) return true;
  return destination !== null && Math.abs(source - destination) <= TIME_TOLERANCE_MS;
}

function isSameMode(source: number | null, destination: number | null): boolean {
  if (source === null) return true;
  return destination !== null && (source & MODE_BITS) === (destination & MODE_BITS);
}

/** A path of one side or of both. */
export interface Pair {
  source: SyncFile | null;
  destination: SyncFile | null;
}

/**
 * Walks two sorted listings side by side. Memory: one file of each.
 * @throws HoldfastError `internal` when a listing is not in order: pairing would go wrong silently
 */
export async function* paired(
  source: AsyncIterable<SyncFile>,
  destination: AsyncIterable<SyncFile>,
  order: PathOrder,
): AsyncGenerator<Pair> {
  const left = inOrder(source, order);
  const right = inOrder(destination, order);
  try {
    let one = await left.next();
    let other = await right.next();
    while (one.done !== true || other.done !== true) {
      const which =
        one.done === true ? 1 : other.done === true ? -1 : order(one.value.path, other.value.path);
      yield {
        source: which <= 0 && one.done !== true ? one.value : null,
        destination: which >= 0 && other.done !== true ? other.value : null,
      };
      if (which <= 0) one = await left.next();
      if (which >= 0) other = await right.next();
    }
  } finally {
    await left.return();
    await right.return();
  }
}

async function* inOrder(files: AsyncIterable<SyncFile>, order: PathOrder): AsyncGenerator<SyncFile, void> {
  let last: string | undefined;
  for await (const file of files) {
    if (last !== undefined && order(last, file.path) >= 0) {
      throw new HoldfastError(
        'internal',
        `The listing is not in order (${file.path} after ${last}). Nothing was changed; use a hub and a command of the same version.`,
      );
    }
    last = file.path;
    yield file;
  }
}

/** What is to be done for a pair, or null. */
export async function actionFor(pair: Pair, rules: CompareRules): Promise<SyncAction | null> {
  const { source, destination } = pair;
  if (source === null) return destination === null ? null : { kind: 'remove', file: destination };
  if (destination === null) return { kind: 'create', file: source };
  const kind = await difference(source, destination, rules);
  return kind === null ? null : { kind, file: source };
}
