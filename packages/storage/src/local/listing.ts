import { isReservedName, parentOf, ROOT, segmentProblem } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { isTempName } from '@holdfast/bytes/temp-name';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { BigIntStats, Dirent } from 'node:fs';
import { lstat, readdir, realpath } from 'node:fs/promises';
import type { ListOptions, ListPage, StorageEntry } from '../backend.ts';
import { mapBounded } from '../concurrency/bounded.ts';
import { parsePageRequest } from '../listing/page-request.ts';
import { readPage } from '../listing/page.ts';
import type { Listed } from '../listing/tree-order.ts';
import { refuseTempNames } from '../path-rules/refusals.ts';
import { entryOf } from './entry.ts';
import type { FolderHandle } from './folder-handle.ts';
import { isInsideJail, openFolderRaw } from './jail.ts';
import type { Volume } from './volume.ts';

const parallelStats = 16;
/** A name that a listing shows. */
interface Child {
  name: string;
  /** A folder that a recursive listing goes into: not a symlink to one. */
  isWalked: boolean;
  isLink: boolean;
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
  const request = parsePageRequest(path, options);
  refuseTempNames(path);
  await using root = await volume.enter();
  const children = await readChildren(root, path);
  const reading = {
    isWalked: ({ isWalked }: Child) => isWalked,
    readBelow: (folder: BackendPath) => readSubfolder(root, folder),
  };
  const { shown, outline } = await readPage(path, children, reading, request, options);
  return { entries: await entriesOf(root, shown), ...outline };
}

/** How many children of a folder a listing shows. Errors as `listFolder`. */
export async function countFolder(volume: Volume, path: BackendPath): Promise<number> {
  refuseTempNames(path);
  await using root = await volume.enter();
  return (await readChildren(root, path)).length;
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
    return shown ? { name, isWalked: false, isLink: true } : undefined;
  }
  if (!entry.isFile() && !entry.isDirectory()) return undefined;
  // U+FFFD stands for bytes that are not UTF-8; such a name cannot be reached by its text.
  if (name.includes('\ufffd') && (await vanished(lstat(folder.child(name))))) return undefined;
  return { name, isWalked: entry.isDirectory(), isLink: false };
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

async function readSubfolder(root: FolderHandle, path: BackendPath): Promise<Child[]> {
  try {
    return await readChildrenRaw(root, path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(error) ?? '')) return [];
    throw fileSystemError(error, `Listing ${path}`, 'read');
  }
}

/** The entries as they are now; those that have vanished or changed their kind since the folder was read are left out. */
async function entriesOf(root: FolderHandle, listed: Listed<Child>[]): Promise<StorageEntry[]> {
  const found: (StorageEntry | undefined)[] = [];
  // Neighbours share their folder, and its open handle: it cannot be swapped for a symlink between two looks.
  for (let start = 0, end = 0; start < listed.length; start = end) {
    const parent = parentOf(listed[start]?.path ?? ROOT);
    while (end < listed.length && parentOf(listed[end]?.path ?? ROOT) === parent) end += 1;
    const neighbours = listed.slice(start, end);
    try {
      await using folder = await openFolderRaw(root, parent);
      const looked = mapBounded(neighbours, parallelStats, (item) => entryIn(folder, root.realPath, item));
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
  { path, child }: Listed<Child>,
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
