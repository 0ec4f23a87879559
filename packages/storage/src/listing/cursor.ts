import { isWithin, parseBackendPath } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';

/** The cursor after a path: it names the path itself, so that it holds when files come and go. */
export function encodeCursor(last: BackendPath): string {
  return Buffer.from(last).toString('base64url');
}

/**
 * The path that a cursor names.
 * @throws HoldfastError `validation_failed` when it is not a cursor of a listing of this folder
 */
export function decodeCursor(cursor: string, folder: BackendPath): BackendPath {
  try {
    const last = parseBackendPath(Buffer.from(cursor, 'base64url').toString());
    if (last !== folder && isWithin(last, folder) && encodeCursor(last) === cursor) return last;
  } catch (error) {
    if (!isHoldfastError(error, 'invalid_path')) throw error;
  }
  throw new HoldfastError(
    'validation_failed',
    `The cursor does not belong to a listing of ${folder}. List it anew.`,
    {
      errors: [{ field: 'cursor', message: 'it is not a next_cursor of this listing' }],
    },
  );
}
