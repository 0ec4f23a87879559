import {
  isReservedName,
  isRoot,
  MAX_PATH_BYTES,
  parseBackendPath,
  segmentProblem,
} from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { isTempName, throwIfCancelled } from '@holdfast/bytes/durable-file';
import { HoldfastError } from '@holdfast/contract/errors';
import type { ListOptions, ListPage } from '../../backend.ts';
import { mapBounded } from '../../local/bounded.ts';
import { refuseTempNames } from '../../local/jail.ts';
import { decodeCursor, encodeCursor } from '../../local/list-cursor.ts';
import { isFailure, nfsError } from '../failure.ts';
import type { NfsAttributes, NfsFileSystem, NfsFolderEntry } from '../file-system.ts';
import { nfsStatus } from '../status.ts';
import { entryOf } from './entry.ts';
import { followEntry, lookAt, notAFolder } from './resolving.ts';
import type { Place } from './resolving.ts';
import type { OpenShare, Share } from './share.ts';

const parallelLinks = 8;
const defaultLimit = 100;
const maxLimit = 1000;
/** A folder whose cookies became void while it was read (many changes at once) is read from its beginning. */
const maxReadings = 3;

/** A name that a listing shows; a symlink with the attributes of what it means. */
interface Child {
  name: string;
  attributes: NfsAttributes;
  isLink: boolean;
}

interface Candidate {
  path: BackendPath;
  child: Child;
}

/**
 * One page of a folder, or of the whole tree below it, in the order of paths by code units. Symlinks show as what they
 * point to when that is inside the share, and are left out otherwise; a recursive listing does not walk through them.
 * Left out too: the reserved area, temporary names, devices, sockets, FIFOs, names that no backend path can have, and
 * the inside of subfolders that may not be read (`lost+found`).
 *
 * @throws HoldfastError `file_not_found`, `not_a_directory`, `validation_failed` (limit, cursor), `invalid_path`,
 *   `backend_unavailable`, `wrong_volume`, `cancelled`
 */
export async function listFolder(share: Share, path: BackendPath, options: ListOptions): Promise<ListPage> {
  const limit = parseLimit(options.limit);
  const after = options.cursor === undefined ? undefined : decodeCursor(options.cursor, path);
  refuseTempNames(path);
  throwIfCancelled(options.signal, `Listing ${path}`);
  const entered = await share.enter();
  const children = await readTop(entered, path);
  const candidates: Candidate[] = [];
  const sequence =
    options.recursive === true ? walk(entered, path, children, after) : direct(path, children, after);
  for await (const candidate of sequence) {
    throwIfCancelled(options.signal, `Listing ${path}`);
    candidates.push(candidate);
    if (candidates.length > limit) break;
  }
  const shown = candidates.slice(0, limit);
  const page: ListPage = { entries: shown.map(({ path: at, child }) => entryOf(at, child.attributes)) };
  const last = shown.at(-1);
  if (candidates.length > limit && last !== undefined) page.nextCursor = encodeCursor(last.path);
  if (options.recursive !== true) page.total = children.length;
  return page;
}

/** How many children of a folder a listing shows. Errors as `listFolder`. */
export async function countFolder(share: Share, path: BackendPath): Promise<number> {
  refuseTempNames(path);
  return (await readTop(await share.enter(), path)).length;
}

/** What is in a folder, as the server has it, with raw names. @throws NfsFailure */
export async function readWholeFolder(fs: NfsFileSystem, handle: Buffer): Promise<NfsFolderEntry[]> {
  for (let reading = 1; ; reading += 1) {
    try {
      const entries: NfsFolderEntry[] = [];
      for await (const page of fs.readFolder(handle)) entries.push(...page);
      return entries;
    } catch (error) {
      if (!isFailure(error, nfsStatus.NOT_SAME, nfsStatus.BAD_COOKIE) || reading === maxReadings) throw error;
    }
  }
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

async function readTop(share: OpenShare, path: BackendPath): Promise<Child[]> {
  const folder = await lookAt(share, path);
  if (folder === null) throw new HoldfastError('file_not_found', `There is no folder at ${path}.`);
  if (folder.node.attributes.type !== 'directory') throw notAFolder(path);
  try {
    return await readChildren(share, path, folder);
  } catch (error) {
    throw nfsError(error, `Listing ${path}`, 'read');
  }
}

async function readChildren(share: OpenShare, path: BackendPath, folder: Place): Promise<Child[]> {
  const entries = await readWholeFolder(share.fs, folder.node.handle);
  const children = await mapBounded(entries, parallelLinks, (entry) => childOf(share, path, folder, entry));
  return children.filter((child) => child !== undefined).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function childOf(
  share: OpenShare,
  path: BackendPath,
  folder: Place,
  entry: NfsFolderEntry,
): Promise<Child | undefined> {
  const name = entry.name.toString();
  // Bytes that are not UTF-8 cannot be reached by a text.
  if (!Buffer.from(name).equals(entry.name) || segmentProblem(name) !== undefined || isTempName(name))
    return undefined;
  if (folder.names.length === 0 && isReservedName(name)) return undefined;
  const isLink = entry.attributes.type === 'symlink';
  const attributes = isLink ? (await followEntry(share, path, name))?.attributes : entry.attributes;
  if (attributes?.type !== 'file' && attributes?.type !== 'directory') return undefined;
  return { name, attributes, isLink };
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
 * beside it, because `a-b` comes between them. Only what is in the folders on the way down is held in memory.
 */
async function* walk(
  share: OpenShare,
  path: BackendPath,
  children: Child[],
  after: BackendPath | undefined,
): AsyncGenerator<Candidate> {
  const steps = children.flatMap((child) => {
    const own = { key: child.name, child, inside: false };
    const isWalked = child.attributes.type === 'directory' && !child.isLink;
    return isWalked ? [own, { key: `${child.name}/`, child, inside: true }] : [own];
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
    if (!isPast) yield* walk(share, childPath, await readSubfolder(share, childPath), after);
  }
}

async function readSubfolder(share: OpenShare, path: BackendPath): Promise<Child[]> {
  try {
    const folder = await lookAt(share, path);
    if (folder?.node.attributes.type !== 'directory') return [];
    return await readChildren(share, path, folder);
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'not_a_directory') return [];
    if (
      isFailure(error, nfsStatus.NOENT, nfsStatus.NOTDIR, nfsStatus.ACCESS, nfsStatus.PERM, nfsStatus.STALE)
    )
      return [];
    throw nfsError(error, `Listing ${path}`, 'read');
  }
}

function pathOfChild(parent: BackendPath, name: string): BackendPath | undefined {
  const path = isRoot(parent) ? `/${name}` : `${parent}/${name}`;
  return Buffer.byteLength(path) <= MAX_PATH_BYTES ? parseBackendPath(path) : undefined;
}
