import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { StorageEntry, WriteOptions } from '../backend.ts';
import { isAFolder } from './refusals.ts';

/** The error for a write under `ifAbsent` that found something at its path. */
export function notAbsent(path: BackendPath, cause?: unknown): HoldfastError {
  const text = `${path} exists already, and the write asked that it does not.`;
  return new HoldfastError('precondition_failed', text, { cause });
}

/**
 * Whether a file may be written where this stands; to be asked before a byte of the source is read.
 * @throws HoldfastError `is_a_directory`, `precondition_failed`
 */
export function requireWritable(
  path: BackendPath,
  existing: StorageEntry['type'] | null,
  ifAbsent: boolean | undefined,
): void {
  if (existing === 'directory') throw isAFolder(path);
  if (existing !== null && ifAbsent === true) throw notAbsent(path);
}

/**
 * The decision at the moment of publishing, to be taken under the path's lock: throws unless the staged file may take
 * the place of what stands there now.
 * @throws HoldfastError `is_a_directory`, `precondition_failed`, `cancelled`; what the caller's precondition throws
 */
export async function requirePublishable(
  path: BackendPath,
  existing: StorageEntry | null,
  options: Pick<WriteOptions, 'ifAbsent' | 'precondition' | 'signal'>,
): Promise<void> {
  requireWritable(path, existing?.type ?? null, options.ifAbsent);
  await options.precondition?.(existing);
  throwIfCancelled(options.signal, `Writing ${path}`);
}
