import { isRoot } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { StorageEntry, WriteOptions, WriteResult } from '../backend.ts';
import { requirePublishable, requireWritable } from '../path-rules/publishing.ts';
import { isAFolder } from '../path-rules/refusals.ts';
import { StagingSlot } from '../volume/staging-slot.ts';
import { segmentsAt } from './address.ts';
import type { Segments } from './address.ts';
import { lookUp, makeParents, missingFolders } from './lookup.ts';
import { relocate } from './relocation.ts';
import { restamp } from './restamping.ts';
import type { Site } from './site.ts';
import { digestOf, discardStaged, stage, stagingPlace } from './upload.ts';
import type { StagedUpload } from './upload.ts';

const publishAttempts = 4;

type PublishOptions = Pick<WriteOptions, 'ifAbsent' | 'precondition' | 'signal'>;

/**
 * Stores a source under a path: sent to the staging folder, read back and compared, then moved into place under the
 * path's lock. Conditions that fail already at the start are answered before a byte of the source is read.
 */
export async function writeFile(
  site: Site,
  path: BackendPath,
  source: AsyncIterable<Uint8Array>,
  options: WriteOptions,
): Promise<WriteResult> {
  const { signal } = options;
  if (isRoot(path)) throw isAFolder(path);
  site.requireWritable(`Writing ${path}`);
  throwIfCancelled(signal, `Writing ${path}`);
  await site.enter(signal);
  const existing = await lookUp(site, path, signal);
  requireWritable(path, existing?.type ?? null, options.ifAbsent);
  if (existing === null) await missingFolders(site, path, signal);
  using slot = new StagingSlot(site.ownerId);
  const expectations = {
    label: path,
    expectedSize: options.expectedSize,
    expectedSha256: options.expectedSha256,
    signal,
  };
  const timeMs = site.recent.nextTime(path, existing?.modifiedAt);
  const staged = await stage(site, stagingPlace(slot), source, expectations, timeMs);
  return await publishStaged(site, path, staged, options);
}

/** Gives a staged file its name under the path's lock; a file that is not published is removed. */
export async function publishStaged(
  site: Site,
  path: BackendPath,
  staged: StagedUpload,
  options: PublishOptions,
): Promise<WriteResult> {
  using spare = new StagingSlot(site.ownerId);
  const current = { staged, spare: stagingPlace(spare), isPublished: false };
  try {
    return await site.locks.hold([path], 'path', () => publish(site, path, current, options));
  } finally {
    if (!current.isPublished) await discardStaged(site, current.staged.segments);
  }
}

/** A staged file on its way to its name. */
interface Publication {
  staged: StagedUpload;
  /** Where it goes when it needs another time. */
  spare: Segments;
  isPublished: boolean;
}

async function publish(
  site: Site,
  path: BackendPath,
  current: Publication,
  options: PublishOptions,
): Promise<WriteResult> {
  for (let attempt = 1; attempt <= publishAttempts; attempt += 1) {
    // Entered anew: a volume that went away while the bytes came in must not count as written.
    await site.enter(options.signal);
    const existing = await lookUp(site, path, options.signal);
    await requirePublishable(path, existing, options);
    if (existing === null) await makeParents(site, path, options.signal);
    else site.recent.add(path, existing);
    if (current.staged.validator !== undefined && site.recent.has(path, current.staged.validator)) {
      const old = current.staged;
      current.staged = await restamp(site, path, old, existing, current.spare);
      await discardStaged(site, old.segments);
    }
    const { staged } = current;
    const outcome = await relocate(site, {
      from: staged.segments,
      to: segmentsAt(path),
      isFolder: false,
      // Where nothing was seen nothing is overwritten: nginx would remove a whole folder for it.
      overwrite: existing !== null,
      path,
      validator: staged.validator,
      doing: `Publishing ${path}`,
    });
    if (outcome === 'taken') continue;
    current.isPublished = true;
    const entry = await publishedEntry(site, path, staged);
    site.recent.add(path, entry);
    return { entry, sha256: staged.sha256, replaced: existing !== null };
  }
  const text = `${path} is made and removed by others all the time, so it could not be written. Try again.`;
  throw new HoldfastError('conflict', text, { retryable: true });
}

/** The entry of a file that was just published; what changed it in between is met as a conflict. */
async function publishedEntry(site: Site, path: BackendPath, staged: StagedUpload): Promise<StorageEntry> {
  const entry = await lookUp(site, path);
  if (entry?.type === 'file' && entry.size === staged.size) {
    if (entry.validator === staged.validator) return entry;
    // A server that gives a new ETag at a move, or somebody else's file: the bytes themselves tell.
    const found = await digestOf(site, segmentsAt(path), `Verifying ${path}`, undefined);
    if (found.sha256 === staged.sha256 && found.validator === entry.validator) return entry;
  }
  const text = `${path} was written, and changed by somebody else in the same moment. Look at it, then try again.`;
  throw new HoldfastError('conflict', text, { retryable: true });
}
