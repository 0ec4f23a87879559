import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { CopyOptions, WriteResult } from '../backend.ts';
import { isAFolder } from '../path-rules/refusals.ts';
import { asTaken, requireDestination } from '../path-rules/relocating.ts';
import { StagingSlot } from '../volume/staging-slot.ts';
import { segmentsAt } from './address.ts';
import type { Segments } from './address.ts';
import { statusError } from './failure.ts';
import { lookUp, missingFolders } from './lookup.ts';
import type { Site } from './site.ts';
import { digestOf, discardStaged, stagingPlace } from './upload.ts';
import type { StagedUpload } from './upload.ts';
import { publishStaged } from './writing.ts';

/**
 * Copies a file on the server itself (RFC 4918 §9.8) into the staging folder, compares it with its source, and moves it
 * into place. Both are read, so that a byte that was flipped on the way to us shows; with `expectedSha256` the copy alone.
 */
export async function copyFile(
  site: Site,
  from: BackendPath,
  to: BackendPath,
  options: CopyOptions,
): Promise<WriteResult> {
  const { signal } = options;
  site.requireWritable(`Copying to ${to}`);
  throwIfCancelled(signal, `Copying ${from}`);
  await site.enter(signal);
  const source = await lookUp(site, from, signal);
  if (source === null) throw new HoldfastError('file_not_found', `There is no ${from} to copy.`);
  if (source.type === 'directory') throw isAFolder(from);
  const existing = await lookUp(site, to, signal);
  if (existing?.type === 'directory') throw isAFolder(to);
  requireDestination(source, to, existing?.type ?? null, options.overwrite);
  if (existing === null) await missingFolders(site, to, signal);
  using slot = new StagingSlot(site.ownerId);
  const staged = await stageCopy(site, from, stagingPlace(slot), options);
  try {
    return await publishStaged(site, to, staged, {
      ifAbsent: options.overwrite !== true,
      ...(signal && { signal }),
    });
  } catch (error) {
    throw asTaken(error, to);
  }
}

async function stageCopy(
  site: Site,
  from: BackendPath,
  segments: Segments,
  options: CopyOptions,
): Promise<StagedUpload> {
  const { signal, expectedSha256 } = options;
  const doing = `Copying ${from}`;
  try {
    await site.ensureStaging();
    const url = site.addresses.of(segmentsAt(from));
    const headers = { destination: site.addresses.of(segments).href, overwrite: 'F' };
    const reply = await site.connection.send({ method: 'COPY', url, headers, doing, signal });
    await reply.discard();
    if (reply.status !== 201 && reply.status !== 204) throw statusError(reply.status, doing, 'write');
    const copy = await digestOf(site, segments, doing, signal);
    const wanted = expectedSha256 ?? (await digestOf(site, segmentsAt(from), doing, signal)).sha256;
    if (copy.sha256 === wanted) return { segments, ...copy };
    const text = `The copy of ${from} has SHA-256 ${copy.sha256}, but it should have ${wanted}. No copy was made.`;
    throw new HoldfastError('checksum_mismatch', text);
  } catch (error) {
    await discardStaged(site, segments);
    throw error;
  }
}
