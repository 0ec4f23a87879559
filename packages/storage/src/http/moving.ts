import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { MoveOptions, StorageEntry } from '../backend.ts';
import { refuseRoot } from '../path-rules/refusals.ts';
import {
  destinationNotEmpty,
  pathTaken,
  refuseIntoItself,
  requireDestination,
} from '../path-rules/relocating.ts';
import { StagingSlot } from '../volume/staging-slot.ts';
import { segmentsAt } from './address.ts';
import { deleteAt } from './deleting.ts';
import { readFolder } from './folder-reading.ts';
import { lookUp, makeParents, missingFolders } from './lookup.ts';
import { relocate } from './relocation.ts';
import { restamp } from './restamping.ts';
import type { Site } from './site.ts';
import { digestOf, discardStaged, stagingPlace } from './upload.ts';

/** Moves a file or folder by one MOVE, which is a rename on the server; nobody puts anything in or out meanwhile. */
export async function moveEntry(
  site: Site,
  from: BackendPath,
  to: BackendPath,
  options: MoveOptions,
): Promise<StorageEntry> {
  refuseRoot(from, 'moved');
  refuseRoot(to, 'replaced');
  site.requireWritable(`Moving ${from}`);
  throwIfCancelled(options.signal, `Moving ${from}`);
  return site.locks.hold([from, to], 'tree', () => moveLocked(site, from, to, options));
}

async function moveLocked(
  site: Site,
  from: BackendPath,
  to: BackendPath,
  options: MoveOptions,
): Promise<StorageEntry> {
  const { signal } = options;
  await site.enter(signal);
  const source = await lookUp(site, from, signal);
  if (source === null) throw new HoldfastError('file_not_found', `There is no ${from} to move.`);
  if (from === to && options.overwrite === true) return source;
  refuseIntoItself(source, to);
  const existing = await lookUp(site, to, signal);
  if (existing === null) await missingFolders(site, to, signal);
  else await requireReplaceable(site, source, existing, options);
  throwIfCancelled(signal, `Moving ${from}`);
  await makeParents(site, to, signal);
  site.recent.add(from, source);
  if (existing !== null) site.recent.add(to, existing);
  if (source.type === 'file' && site.recent.has(to, source.validator))
    await moveUnderNewTime(site, source, to, existing);
  else await moveAsItIs(site, source, to, existing !== null);
  const entry = await lookUp(site, to);
  if (entry === null) throw await site.notFound(to);
  site.recent.add(to, entry);
  return entry;
}

async function requireReplaceable(
  site: Site,
  source: StorageEntry,
  existing: StorageEntry,
  { overwrite, signal }: MoveOptions,
): Promise<void> {
  const to = existing.path;
  requireDestination(source, to, existing.type, overwrite);
  if (existing.type === 'file') return;
  if ((await readFolder(site, to, signal)).length === 0) return;
  throw destinationNotEmpty(source.path, to);
}

async function moveAsItIs(
  site: Site,
  source: StorageEntry,
  to: BackendPath,
  overwrite: boolean,
): Promise<void> {
  const outcome = await relocate(site, {
    from: segmentsAt(source.path),
    to: segmentsAt(to),
    isFolder: source.type === 'directory',
    overwrite,
    path: to,
    validator: source.type === 'file' ? source.validator : undefined,
    doing: `Moving ${source.path} to ${to}`,
  });
  if (outcome === 'taken') throw pathTaken(to);
}

/** A file that would have, at its new path, the validator of the version there goes by a copy with a time of its own. */
async function moveUnderNewTime(
  site: Site,
  source: StorageEntry,
  to: BackendPath,
  existing: StorageEntry | null,
): Promise<void> {
  const from = segmentsAt(source.path);
  const doing = `Moving ${source.path} to ${to}`;
  using slot = new StagingSlot(site.ownerId);
  const found = await digestOf(site, from, `Reading ${source.path}`, undefined);
  const { segments, validator } = await restamp(
    site,
    to,
    { segments: from, ...found },
    existing,
    stagingPlace(slot),
  );
  const overwrite = existing !== null;
  try {
    const move = {
      from: segments,
      to: segmentsAt(to),
      isFolder: false,
      overwrite,
      path: to,
      validator,
      doing,
    };
    if ((await relocate(site, move)) === 'taken') throw pathTaken(to);
  } catch (error) {
    await discardStaged(site, segments);
    throw error;
  }
  await deleteAt(site, from, { isFolder: false, doing });
}
