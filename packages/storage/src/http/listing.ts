import { isRoot, MAX_PATH_BYTES, parseBackendPath } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/durable-file';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { ListOptions, ListPage, StorageEntry } from '../backend.ts';
import { mapBounded } from '../local/bounded.ts';
import { decodeCursor, encodeCursor } from '../local/list-cursor.ts';
import { segmentsAt } from './address.ts';
import { readFolder } from './folder-reading.ts';
import type { ListedName } from './json-index.ts';
import { entryOfProperties } from './lookup.ts';
import type { Site } from './site.ts';

const parallelLooks = 8;
const defaultLimit = 100;
const maxLimit = 1000;

interface Candidate {
  path: BackendPath;
  listed: ListedName;
}

/**
 * One page of a folder, or of the whole tree below it, in the order of paths by code units. Left out: the reserved
 * area, names that no backend path can have, and files that have vanished since the folder was read.
 *
 * @throws HoldfastError `file_not_found`, `not_a_directory`, `validation_failed` (limit, cursor), `not_supported` (the
 *   server does not list), `backend_unavailable`, `cancelled`
 */
export async function listFolder(site: Site, path: BackendPath, options: ListOptions): Promise<ListPage> {
  const limit = parseLimit(options.limit);
  const after = options.cursor === undefined ? undefined : decodeCursor(options.cursor, path);
  const { signal } = options;
  throwIfCancelled(signal, `Listing ${path}`);
  const children = await readFolder(site, path, signal);
  const candidates: Candidate[] = [];
  const sequence =
    options.recursive === true ? walk(site, path, children, after, signal) : direct(path, children, after);
  for await (const candidate of sequence) {
    throwIfCancelled(signal, `Listing ${path}`);
    candidates.push(candidate);
    if (candidates.length > limit) break;
  }
  const shown = candidates.slice(0, limit);
  const entries = await entriesOf(site, shown, signal);
  const last = shown.at(-1);
  return {
    entries,
    ...(candidates.length > limit && last !== undefined ? { nextCursor: encodeCursor(last.path) } : {}),
    ...(options.recursive === true ? {} : { total: children.length }),
  };
}

/** How many files and folders are below a folder, it included. */
export async function countTree(site: Site, path: BackendPath, signal?: AbortSignal): Promise<number> {
  let count = 1;
  const children = await readFolder(site, path, signal);
  for await (const candidate of walk(site, path, children, undefined, signal)) {
    throwIfCancelled(signal, `Listing ${candidate.path}`);
    count += 1;
  }
  return count;
}

function parseLimit(limit = defaultLimit): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= maxLimit) return limit;
  const text = `A page of a listing has 1 to ${maxLimit} entries, not ${limit}.`;
  const message = `it must be a whole number from 1 to ${maxLimit}`;
  throw new HoldfastError('validation_failed', text, { errors: [{ field: 'limit', message }] });
}

function* direct(
  path: BackendPath,
  children: ListedName[],
  after: BackendPath | undefined,
): Generator<Candidate> {
  for (const listed of children) {
    const childPath = pathOfChild(path, listed.name);
    if (childPath !== undefined && (after === undefined || childPath > after))
      yield { path: childPath, listed };
  }
}

/**
 * The tree in the order of paths by code units. A folder `a` and its contents `a/…` are sorted apart among the names
 * beside it, because `a-b` comes between them. Only the names of the folders on the way down are held in memory.
 */
async function* walk(
  site: Site,
  path: BackendPath,
  children: ListedName[],
  after: BackendPath | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Candidate> {
  const steps = children.flatMap((listed) => {
    const own = { key: listed.name, listed, inside: false };
    return listed.traits.isFolder ? [own, { key: `${listed.name}/`, listed, inside: true }] : [own];
  });
  steps.sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const { listed, inside } of steps) {
    const childPath = pathOfChild(path, listed.name);
    if (childPath === undefined) continue;
    if (!inside) {
      if (after === undefined || childPath > after) yield { path: childPath, listed };
      continue;
    }
    const contents = `${childPath}/`;
    const isPast = after !== undefined && contents < after && !after.startsWith(contents);
    if (!isPast) yield* walk(site, childPath, await readSubfolder(site, childPath, signal), after, signal);
  }
}

/** A folder that has vanished since it was seen, or that others may not look into, has nothing to show. */
async function readSubfolder(
  site: Site,
  path: BackendPath,
  signal: AbortSignal | undefined,
): Promise<ListedName[]> {
  try {
    return await readFolder(site, path, signal);
  } catch (error) {
    if (isHoldfastError(error, 'file_not_found') || isHoldfastError(error, 'not_a_directory')) return [];
    throw error;
  }
}

function pathOfChild(parent: BackendPath, name: string): BackendPath | undefined {
  const path = isRoot(parent) ? `/${name}` : `${parent}/${name}`;
  return Buffer.byteLength(path) <= MAX_PATH_BYTES ? parseBackendPath(path) : undefined;
}

async function entriesOf(
  site: Site,
  candidates: Candidate[],
  signal: AbortSignal | undefined,
): Promise<StorageEntry[]> {
  const entryOf = ({ path, listed }: Candidate): Promise<StorageEntry | null> =>
    entryOfProperties(site, segmentsAt(path), path, listed.traits, signal);
  // The first file settles whether the rest must be looked at one by one.
  const first = candidates.find(({ listed }) => !listed.traits.isFolder);
  if (first !== undefined && site.listingsAgree === undefined) await entryOf(first);
  const found = await mapBounded(candidates, parallelLooks, entryOf);
  return found.filter((entry) => entry !== null);
}
