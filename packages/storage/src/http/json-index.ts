import { segmentProblem } from '@holdfast/bytes/backend-path';
import type { Traits } from './entry.ts';
import { parseDate } from './reply-traits.ts';

/** One name in a folder, as a listing shows it. */
export interface ListedName {
  name: string;
  traits: Traits;
}

/**
 * The names of a JSON index in nginx's form (ngx_http_autoindex_module): an array of `{name, type, mtime, size}`.
 * @returns undefined when the text is not one
 */
export function parseJsonIndex(text: string): ListedName[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const entries = value.map(listedName);
  const names = entries.filter((entry) => entry !== undefined);
  if (names.length !== entries.length) return undefined;
  return names.filter(({ name }) => segmentProblem(name) === undefined);
}

function listedName(value: unknown): ListedName | undefined {
  if (typeof value !== 'object' || value === null || !('name' in value) || !('type' in value))
    return undefined;
  const { name, type } = value;
  if (typeof name !== 'string' || (type !== 'file' && type !== 'directory' && type !== 'other'))
    return undefined;
  const size = 'size' in value && Number.isSafeInteger(value.size) ? Number(value.size) : undefined;
  const modifiedMs = 'mtime' in value && typeof value.mtime === 'string' ? parseDate(value.mtime) : undefined;
  return { name, traits: { isFolder: type === 'directory', size, modifiedMs, etag: undefined } };
}
