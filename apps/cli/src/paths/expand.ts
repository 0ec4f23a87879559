import picomatch from 'picomatch';
import { HoldfastError } from '@holdfast/contract/errors';
import { UsageError } from '../exit-codes.ts';
import { locationText, parseLocation } from './location.ts';
import type { RemoteLocation } from './location.ts';
import type { Remote, RemoteEntry } from './remote.ts';

/** A place on the hub's side. @throws UsageError for a local path, with the form that is meant */
export function remoteLocation(text: string): RemoteLocation {
  const location = parseLocation(text);
  if (location.kind === 'backend' || location.kind === 'hub') return location;
  throw new UsageError(`"${text}" is no path of the hub: write NAME:/path or hub:/HOST/path.`);
}

/** A path on a backend. @throws UsageError for anything else */
export function backendLocation(text: string): RemoteLocation & { kind: 'backend' } {
  const location = parseLocation(text);
  if (location.kind === 'backend') return location;
  throw new UsageError(`"${text}" is no path of a backend: write NAME:/path.`);
}

/** Whether a path has wildcards: `*`, `?` or `[…]`. */
export function hasWildcard(path: string): boolean {
  return /[*?]|\[[^\]/]+\]/.test(path);
}

/**
 * What an argument stands for: one entry, or all that a wildcard matches.
 * @throws HoldfastError `file_not_found`, `host_file_not_found` when there is nothing
 */
export async function expanded(remote: Remote, text: string): Promise<RemoteEntry[]> {
  const location = remoteLocation(text);
  if (!hasWildcard(location.path)) return [await remote.stat(location)];
  const { base, isDeep } = literalBase(location.path);
  const matches = picomatch(location.path, {
    nobrace: true,
    noextglob: true,
    nonegate: true,
    strictSlashes: true,
  });
  const found: RemoteEntry[] = [];
  for await (const entry of remote.list({ ...location, path: base }, isDeep)) {
    if (matches(entry.location.path)) found.push(entry);
  }
  if (found.length > 0) return found;
  const code = location.kind === 'hub' ? 'host_file_not_found' : 'file_not_found';
  throw new HoldfastError(code, `Nothing matches ${locationText(location)}.`);
}

/** The folder above the first wildcard, and whether the pattern goes deeper than that folder. */
function literalBase(pattern: string): { base: string; isDeep: boolean } {
  const segments = pattern.split('/');
  const first = segments.findIndex(hasWildcard);
  const base = segments.slice(0, first).join('/');
  return { base: base === '' ? '/' : base, isDeep: first < segments.length - 1 || pattern.includes('**') };
}
