import { isReservedName, segmentProblem } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { isTempName } from '@holdfast/bytes/temp-name';
import { HoldfastError } from '@holdfast/contract/errors';
import type { ListOptions, ListPage } from '../../backend.ts';
import { mapBounded } from '../../concurrency/bounded.ts';
import { parsePageRequest } from '../../listing/page-request.ts';
import { readPage } from '../../listing/page.ts';
import { refuseTempNames } from '../../path-rules/refusals.ts';
import { isFailure, nfsError } from '../failure.ts';
import type { NfsAttributes, NfsFileSystem, NfsFolderEntry } from '../file-system.ts';
import { nfsStatus } from '../status.ts';
import { entryOf } from './entry.ts';
import { followEntry, lookAt, notAFolder } from './resolving.ts';
import type { Place } from './resolving.ts';
import type { OpenShare, Share } from './share.ts';

const parallelLinks = 8;
/** A folder whose cookies became void while it was read (many changes at once) is read from its beginning. */
const maxReadings = 3;

/** A name that a listing shows; a symlink with the attributes of what it means. */
interface Child {
  name: string;
  attributes: NfsAttributes;
  /** A folder that a recursive listing goes into: not a symlink to one. */
  isWalked: boolean;
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
  const request = parsePageRequest(path, options);
  refuseTempNames(path);
  throwIfCancelled(options.signal, `Listing ${path}`);
  const entered = await share.enter();
  const children = await readTop(entered, path);
  const reading = {
    isWalked: ({ isWalked }: Child) => isWalked,
    readBelow: (folder: BackendPath) => readSubfolder(entered, folder),
  };
  const { shown, outline } = await readPage(path, children, reading, request, options);
  return { entries: shown.map(({ path: at, child }) => entryOf(at, child.attributes)), ...outline };
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
  return { name, attributes, isWalked: attributes.type === 'directory' && !isLink };
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
