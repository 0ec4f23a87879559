import {
  isReservedName,
  isRoot,
  MAX_PATH_BYTES,
  parentOf,
  parseBackendPath,
  ROOT,
  segmentProblem,
} from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { errnoOf, fileSystemError, isTempName, throwIfCancelled } from '@holdfast/bytes/durable-file';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { BigIntStats, Dirent } from 'node:fs';
import { lstat, readdir, realpath } from 'node:fs/promises';
import type { ListOptions, ListPage, StorageEntry } from '../backend.ts';
import { mapBounded } from './bounded.ts';
import { entryOf } from './entry.ts';
import type { FolderHandle } from './folder-handle.ts';
import { isInsideJail, openFolderRaw, refuseTempNames } from './jail.ts';
import { decodeCursor, encodeCursor } from './list-cursor.ts';
import type { Volume } from './volume.ts';

const parallelStats = 16;
const defaultLimit = 100;
const maxLimit = 1000;

/** A name that a listing shows. */
interface Child {
  name: string;
  isFolder: boolean;
  isLink: boolean;
}

interface Candidate {
  path: BackendPath;
  child: Child;
}

/**
 * One page of a folder, or of the whole tree below it, in the order of paths by code units. Symlinks show as what they
 * point to when that is inside the backend, and are left out otherwise; a recursive listing does not walk through them.
 * Left out too: the reserved area, temporary names, devices, sockets, FIFOs, names that no backend path can have, and
 * the inside of subfolders that may not be read (`lost+found`).
 *
 * @throws HoldfastError `file_not_found`, `not_a_directory`, `validation_failed` (limit, cursor), `invalid_path`,
 *   `backend_unavailable`, `wrong_volume`, `cancelled`
 */
export async function listFolder(volume: Volume, path: BackendPath, options: ListOptions): Promise<ListPage> {
  const limit = parseLimit(options.limit);
  const after = options.cursor === undefined ? undefined : decodeCursor(options.cursor, path);
  refuseTempNames(path);
  await using root = await volume.enter();
  const children = await readChildren(root, path);
  const candidates: Candidate[] = [];
  const sequence =
    options.recursive === true ? walk(root, path, children, after) : direct(path, children, after);
  for await (const candidate of sequence) {
    throwIfCancelled(options.signal, `Listing ${path}`);
    candidates.push(candidate);
    if (candidates.length > limit) break;
  }
  const shown = candidates.slice(0, limit);
  const found = await entriesOf(root, shown);
  const page: ListPage = { entries: found.filter((entry) => entry !== undefined) };
  const last = shown.at(-1);
  if (candidates.length > limit && last !== undefined) page.nextCursor = encodeCursor(last.path);
  if (options.recursive !== true) page.total = children.length;
  return page;
}

/** How many children of a folder a listing shows. Errors as `listFolder`. */
export async function countFolder(volume: Volume, path: BackendPath): Promise<number> {
  refuseTempNames(path);
  await using root = await volume.enter();
  return (await readChildren(root, path)).length;
}

function parseLimit(limit = defaultLimit): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= maxLimit) return limit;
  throw new HoldfastError(
    'validation_failed',
    `A page of a listing has 1 to ${maxLimit} entries, not ${limit}.`,
    {
      errors: [{ field: 'limit', message: `it must be a whole number from 1 to ${maxLimit}` }],
    },
  );
}

async function readChildren(root: FolderHandle, path: BackendPath): Promise<Child[]> {
  try {
    return await readChildrenRaw(root, path);
  } catch (error) {
    throw fileSystemError(error, `Listing ${path}`, 'read');
  }
}

async function readChildrenRaw(root: FolderHandle, path: BackendPath): Promise<Child[]> {
  await using folder = await openFolderRaw(root, path);
  const atTop = folder.realPath === root.realPath;
  const named = (await readdir(folder.path, { withFileTypes: true })).filter(
    (entry) =>
      segmentProblem(entry.name) === undefined &&
      !isTempName(entry.name) &&
      !(atTop && isReservedName(entry.name)),
  );
  const children = await mapBounded(named, parallelStats, (entry) => childOf(folder, root.realPath, entry));
  return children.filter((child) => child !== undefined).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function childOf(folder: FolderHandle, realRoot: string, entry: Dirent): Promise<Child | undefined> {
  const { name } = entry;
  if (entry.isSymbolicLink()) {
    const target = await statLink(folder.child(name), realRoot);
    const shown = target?.isFile() === true || target?.isDirectory() === true;
    return shown ? { name, isFolder: target.isDirectory(), isLink: true } : undefined;
  }
  if (!entry.isFile() && !entry.isDirectory()) return undefined;
  // U+FFFD stands for bytes that are not UTF-8; such a name cannot be reached by its text.
  if (name.includes('\ufffd') && (await vanished(lstat(folder.child(name))))) return undefined;
  return { name, isFolder: entry.isDirectory(), isLink: false };
}

async function statLink(path: string, realRoot: string): Promise<BigIntStats | undefined> {
  try {
    const real = await realpath(path);
    return isInsideJail(real, realRoot) ? await lstat(real, { bigint: true }) : undefined;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

async function vanished(look: Promise<unknown>): Promise<boolean> {
  return look.then(
    () => false,
    (error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return true;
      throw error;
    },
  );
}

function* direct(path: BackendPath, children: Child[], after: BackendPath | undefined): Generator<Candidate> {
  for (const child of children) {
    const childPath = pathOfChild(path, child.name);
    if (childPath !== undefined && (after === undefined || childPath > after))
      yield { path: childPath, child };
  }
}

/**
 * The tree in the order of paths by code units. A folder `a` and its contents `a/…` are sorted apart among the names
 * beside it, because `a-b` comes between them. Only the names of the folders on the way down are held in memory.
 */
async function* walk(
  root: FolderHandle,
  path: BackendPath,
  children: Child[],
  after: BackendPath | undefined,
): AsyncGenerator<Candidate> {
  const steps = children.flatMap((child) => {
    const own = { key: child.name, child, inside: false };
    return child.isFolder && !child.isLink ? [own, { key: `${child.name}/`, child, inside: true }] : [own];
  });
  steps.sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const { child, inside } of steps) {
    const childPath = pathOfChild(path, child.name);
    if (childPath === undefined) continue;
    if (!inside) {
      if (after === undefined || childPath > after) yield { path: childPath, child };
      continue;
    }
    const contents = `${childPath}/`;
    const isPast = after !== undefined && contents < after && !after.startsWith(contents);
    if (!isPast) yield* walk(root, childPath, await readSubfolder(root, childPath), after);
  }
}

async function readSubfolder(root: FolderHandle, path: BackendPath): Promise<Child[]> {
  try {
    return await readChildrenRaw(root, path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(error) ?? '')) return [];
    throw fileSystemError(error, `Listing ${path}`, 'read');
  }
}

function pathOfChild(parent: BackendPath, name: string): BackendPath | undefined {
  const path = isRoot(parent) ? `/${name}` : `${parent}/${name}`;
  return Buffer.byteLength(path) <= MAX_PATH_BYTES ? parseBackendPath(path) : undefined;
}

/** The entries as they are now; those that have vanished or changed their kind since the folder was read are left out. */
async function entriesOf(root: FolderHandle, candidates: Candidate[]): Promise<StorageEntry[]> {
  const found: (StorageEntry | undefined)[] = [];
  // Neighbours share their folder, and its open handle: it cannot be swapped for a symlink between two looks.
  for (let start = 0, end = 0; start < candidates.length; start = end) {
    const parent = parentOf(candidates[start]?.path ?? ROOT);
    while (end < candidates.length && parentOf(candidates[end]?.path ?? ROOT) === parent) end += 1;
    const neighbours = candidates.slice(start, end);
    try {
      await using folder = await openFolderRaw(root, parent);
      const looked = mapBounded(neighbours, parallelStats, (candidate) =>
        entryIn(folder, root.realPath, candidate),
      );
      found.push(...(await looked));
    } catch (error) {
      if (!isGone(error)) throw fileSystemError(error, `Listing ${parent}`, 'read');
    }
  }
  return found.filter((entry) => entry !== undefined);
}

async function entryIn(
  folder: FolderHandle,
  realRoot: string,
  { path, child }: Candidate,
): Promise<StorageEntry | undefined> {
  const at = folder.child(child.name);
  try {
    const stats = child.isLink ? await statLink(at, realRoot) : await lstat(at, { bigint: true });
    return stats?.isFile() === true || stats?.isDirectory() === true ? entryOf(path, stats) : undefined;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '') || isHoldfastError(error, 'invalid_path');
}
