import { isWithin } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { CopyOptions, OpenFile, StorageEntry, WriteOptions, WriteResult } from '../backend.ts';
import { isAFolder } from './refusals.ts';

/** What a move or copy is about: a path, and what stands there. */
export interface Standing {
  path: BackendPath;
  type: StorageEntry['type'];
}

/** The error for a destination that is taken and not to be overwritten. */
export function pathTaken(to: BackendPath, cause?: unknown): HoldfastError {
  const text = `${to} exists already. Ask to overwrite it, or choose another name.`;
  return new HoldfastError('already_exists', text, { cause });
}

/** The error for a folder that is to be moved into its own tree. */
export function intoItself(from: BackendPath, to: BackendPath, cause?: unknown): HoldfastError {
  return new HoldfastError('invalid_path', `${from} cannot be moved into itself (to ${to}).`, {
    errors: [{ field: 'destination_path', message: 'it lies inside the folder that is to be moved' }],
    cause,
  });
}

/** The error for a destination folder that has something in it. */
export function destinationNotEmpty(from: BackendPath, to: BackendPath, cause?: unknown): HoldfastError {
  const text = `The folder ${to} is not empty, so ${from} cannot take its place. Empty it first.`;
  return new HoldfastError('not_empty', text, { cause });
}

/** @throws HoldfastError `invalid_path` when a folder would be moved into its own tree */
export function refuseIntoItself(source: Standing, to: BackendPath): void {
  if (source.type !== 'directory' || source.path === to || !isWithin(to, source.path)) return;
  throw intoItself(source.path, to);
}

/**
 * Whether a file or folder may take the place of what stands at the destination. That a folder there is empty is for
 * the caller to see.
 * @throws HoldfastError `already_exists`, `is_a_directory`, `not_a_directory`
 */
export function requireDestination(
  source: Standing,
  to: BackendPath,
  existing: StorageEntry['type'] | null,
  overwrite: boolean | undefined,
): void {
  if (existing === null) return;
  if (overwrite !== true) throw pathTaken(to);
  if (existing === source.type) return;
  if (existing === 'directory') throw isAFolder(to);
  const text = `${to} is a file, so the folder ${source.path} cannot take its place.`;
  throw new HoldfastError('not_a_directory', text);
}

/** For a copy that publishes by a write under `ifAbsent`: what the write refuses is that the destination is taken. */
export function asTaken(error: unknown, to: BackendPath): unknown {
  return isHoldfastError(error, 'precondition_failed') ? pathTaken(to, error) : error;
}

/** Copies an open file by way of a verified write; the digest is of the bytes as they were copied. */
export async function copyByWriting(
  file: OpenFile,
  to: BackendPath,
  { expectedSha256, overwrite, signal }: CopyOptions,
  write: (source: AsyncIterable<Uint8Array>, options: WriteOptions) => Promise<WriteResult>,
): Promise<WriteResult> {
  const cancelling = signal === undefined ? {} : { signal };
  try {
    return await write(file.stream(undefined, cancelling), {
      expectedSize: file.entry.size,
      ...(expectedSha256 === undefined ? {} : { expectedSha256 }),
      ifAbsent: overwrite !== true,
      ...cancelling,
    });
  } catch (error) {
    throw asTaken(error, to);
  }
}
