import { isRoot, segmentsOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { isTempName } from '@holdfast/bytes/temp-name';
import { HoldfastError } from '@holdfast/contract/errors';

/** @throws HoldfastError `invalid_path` for the root where something below it is needed */
export function refuseRoot(path: BackendPath, verb: 'moved' | 'removed' | 'replaced'): void {
  if (!isRoot(path)) return;
  throw new HoldfastError('invalid_path', `The root of a backend cannot be ${verb}.`, {
    errors: [{ field: 'path', message: `the root cannot be ${verb}` }],
  });
}

/** @throws HoldfastError `invalid_path` for a path that has one of our own temporary names in it */
export function refuseTempNames(path: BackendPath): void {
  if (!path.includes('/.holdfast-') || !segmentsOf(path).some(isTempName)) return;
  throw new HoldfastError(
    'invalid_path',
    `${path} has a name that Holdfast keeps for its own temporary files.`,
    { errors: [{ field: 'path', message: 'the name is kept for temporary files' }] },
  );
}

/** The error for a folder where a file is needed. */
export function isAFolder(path: BackendPath): HoldfastError {
  const text = isRoot(path) ? 'The root of the backend is a folder' : `${path} is a folder`;
  return new HoldfastError('is_a_directory', `${text}, and this needs a file.`);
}

/** The error for a file where a path that is to be written has a folder. */
export function isAFileInTheWay(path: BackendPath): HoldfastError {
  return new HoldfastError('not_a_directory', `${path} is a file, so nothing can be put inside it.`);
}

/** The error for a folder that is to be made and is there. */
export function existsAlready(path: BackendPath, cause?: unknown): HoldfastError {
  return new HoldfastError('already_exists', `${path} exists already.`, { cause });
}

/** The error for a path that is to be removed and is not there. */
export function nothingToRemove(path: BackendPath, cause?: unknown): HoldfastError {
  return new HoldfastError('file_not_found', `There is no ${path} to remove.`, { cause });
}

/** The error for a folder that is to be removed without what is in it. */
export function folderNotEmpty(path: BackendPath, cause?: unknown): HoldfastError {
  const text = `The folder ${path} is not empty. Empty it first, or ask to remove it with all that is in it.`;
  return new HoldfastError('not_empty', text, { cause });
}
