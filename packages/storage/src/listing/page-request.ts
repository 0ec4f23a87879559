import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import type { ListOptions } from '../backend.ts';
import { decodeCursor } from './cursor.ts';

const defaultLimit = 100;
const maxLimit = 1000;

/** Which page of a listing is asked for. */
export interface PageRequest {
  /** Entries at most. */
  limit: number;
  /** The last path of the page before; undefined for the first page. */
  after: BackendPath | undefined;
}

/** @throws HoldfastError `validation_failed` for a limit out of bounds, and for a cursor of another listing */
export function parsePageRequest(path: BackendPath, options: ListOptions): PageRequest {
  return {
    limit: parseLimit(options.limit),
    after: options.cursor === undefined ? undefined : decodeCursor(options.cursor, path),
  };
}

function parseLimit(limit = defaultLimit): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= maxLimit) return limit;
  const text = `A page of a listing has 1 to ${maxLimit} entries, not ${limit}.`;
  const message = `it must be a whole number from 1 to ${maxLimit}`;
  throw new HoldfastError('validation_failed', text, { errors: [{ field: 'limit', message }] });
}
