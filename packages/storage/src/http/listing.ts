import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { ListOptions, ListPage, StorageEntry } from '../backend.ts';
import { mapBounded } from '../concurrency/bounded.ts';
import { parsePageRequest } from '../listing/page-request.ts';
import { readPage } from '../listing/page.ts';
import { treeAfter } from '../listing/tree-order.ts';
import type { Listed, TreeReading } from '../listing/tree-order.ts';
import { segmentsAt } from './address.ts';
import { readFolder } from './folder-reading.ts';
import type { ListedName } from './json-index.ts';
import { entryOfProperties } from './lookup.ts';
import type { Site } from './site.ts';

const parallelLooks = 8;

/**
 * One page of a folder, or of the whole tree below it, in the order of paths by code units. Left out: the reserved
 * area, names that no backend path can have, and files that have vanished since the folder was read.
 *
 * @throws HoldfastError `file_not_found`, `not_a_directory`, `validation_failed` (limit, cursor), `not_supported` (the
 *   server does not list), `backend_unavailable`, `cancelled`
 */
export async function listFolder(site: Site, path: BackendPath, options: ListOptions): Promise<ListPage> {
  const request = parsePageRequest(path, options);
  const { signal } = options;
  throwIfCancelled(signal, `Listing ${path}`);
  const children = await readFolder(site, path, signal);
  const { shown, outline } = await readPage(path, children, readingOf(site, signal), request, options);
  return { entries: await entriesOf(site, shown, signal), ...outline };
}

/** How many files and folders are below a folder, it included. */
export async function countTree(site: Site, path: BackendPath, signal?: AbortSignal): Promise<number> {
  let count = 1;
  const children = await readFolder(site, path, signal);
  for await (const listed of treeAfter(path, children, readingOf(site, signal), undefined)) {
    throwIfCancelled(signal, `Listing ${listed.path}`);
    count += 1;
  }
  return count;
}

function readingOf(site: Site, signal: AbortSignal | undefined): TreeReading<ListedName> {
  return {
    isWalked: ({ traits }) => traits.isFolder,
    readBelow: (folder) => readSubfolder(site, folder, signal),
  };
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

async function entriesOf(
  site: Site,
  listed: Listed<ListedName>[],
  signal: AbortSignal | undefined,
): Promise<StorageEntry[]> {
  const entryOf = ({ path, child }: Listed<ListedName>): Promise<StorageEntry | null> =>
    entryOfProperties(site, segmentsAt(path), path, child.traits, signal);
  // The first file settles whether the rest must be looked at one by one.
  const first = listed.find(({ child }) => !child.traits.isFolder);
  if (first !== undefined && site.listingsAgree === undefined) await entryOf(first);
  const found = await mapBounded(listed, parallelLooks, entryOf);
  return found.filter((entry) => entry !== null);
}
