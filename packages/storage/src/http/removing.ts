import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { folderNotEmpty, nothingToRemove, refuseRoot } from '../path-rules/refusals.ts';
import { segmentsAt } from './address.ts';
import { deleteAt } from './deleting.ts';
import { readFolder } from './folder-reading.ts';
import { countTree } from './listing.ts';
import { lookUp } from './lookup.ts';
import type { Site } from './site.ts';

/**
 * Removes a file, an empty folder, or with `recursive` a whole folder. WebDAV knows only whole folders (RFC 4918 §9.6):
 * that one is empty is looked at before, under a lock that keeps this process from putting anything into it. What
 * another program puts there between the look and the removal goes with it.
 * @returns files and folders that were removed
 */
export async function removeEntry(
  site: Site,
  path: BackendPath,
  options: { recursive?: boolean; signal?: AbortSignal },
): Promise<number> {
  const { signal } = options;
  refuseRoot(path, 'removed');
  site.requireWritable(`Removing ${path}`);
  throwIfCancelled(signal, `Removing ${path}`);
  return site.locks.hold([path], 'tree', async () => {
    await site.enter(signal);
    const entry = await lookUp(site, path, signal);
    if (entry === null) throw nothingToRemove(path);
    const isFolder = entry.type === 'directory';
    const count = isFolder ? await countFolder(site, path, options) : 1;
    throwIfCancelled(signal, `Removing ${path}`);
    site.recent.add(path, entry);
    if (!(await deleteAt(site, segmentsAt(path), { isFolder, doing: `Removing ${path}` })))
      throw nothingToRemove(path);
    return count;
  });
}

async function countFolder(
  site: Site,
  path: BackendPath,
  { recursive, signal }: { recursive?: boolean; signal?: AbortSignal },
): Promise<number> {
  if (recursive === true) return countTree(site, path, signal);
  if ((await readFolder(site, path, signal)).length === 0) return 1;
  throw folderNotEmpty(path);
}
