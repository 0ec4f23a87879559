import { isRoot } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { StorageEntry } from '../backend.ts';
import { existsAlready } from '../path-rules/refusals.ts';
import { segmentsAt } from './address.ts';
import { lookUp, makeParents } from './lookup.ts';
import type { Site } from './site.ts';

/** Makes a folder and its missing parents. @throws HoldfastError `already_exists`, `not_a_directory` */
export async function makeFolder(site: Site, path: BackendPath): Promise<StorageEntry> {
  site.requireWritable(`Making the folder ${path}`);
  if (isRoot(path)) throw existsAlready(path);
  return site.locks.hold([path], 'path', async () => {
    await site.enter();
    if ((await lookUp(site, path)) !== null) throw existsAlready(path);
    await makeParents(site, path);
    if (!(await site.makeCollection(segmentsAt(path)))) throw existsAlready(path);
    const entry = await lookUp(site, path);
    if (entry === null) throw await site.notFound(path);
    return entry;
  });
}
