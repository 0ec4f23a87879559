import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { randomUUID } from 'node:crypto';
import { ROOT } from '@holdfast/bytes/backend-path';
import { renderMarker } from '../volume/marker.ts';
import { StagingSlot } from '../volume/staging-slot.ts';
import { MARKER } from './address.ts';
import { parseHttpConfig } from './config.ts';
import type { HttpConfig, HttpTarget } from './config.ts';
import { statusError } from './failure.ts';
import { detectListing, readFolder } from './folder-reading.ts';
import { askStatus, requireCollection } from './probing.ts';
import { relocate } from './relocation.ts';
import { Site } from './site.ts';
import { discardStaged, stage, stagingPlace } from './upload.ts';
import { derivedVolumeId } from './volume-id.ts';

const defaultTimeLimitMs = 30_000;
/** Marks what is staged before the backend has an owner; a crash in between is swept after 24 hours. */
const prepareOwner = 'prepare';

function refuse(field: string, message: string, cause?: unknown): never {
  throw new HoldfastError('validation_failed', `The web server cannot be used as a backend: ${message}.`, {
    errors: [{ field: `config.${field}`, message }],
    cause,
  });
}

/**
 * Checks a new configuration against the server. On a writable one the volume marker is adopted or written; a
 * read-only one has the id of its marker when it shows one, else an id made from its address.
 *
 * @param options.timeLimitMs milliseconds without a sign of life after which the server counts as dead
 * @returns the id of the volume, to be kept with the backend
 * @throws HoldfastError `validation_failed` that names the field to mend; `backend_unavailable` for a server that
 *   cannot be reached; `storage_full`; `cancelled`
 */
export async function prepareHttp(
  config: HttpConfig,
  options: { signal?: AbortSignal; timeLimitMs?: number } = {},
): Promise<{ volumeId: string }> {
  const target = parseHttpConfig(config);
  const { signal, timeLimitMs = defaultTimeLimitMs } = options;
  await using site = new Site(target, { volumeId: '', ownerId: prepareOwner, timeLimitMs });
  await checkBase(site, config, signal);
  await checkListing(site, signal);
  const marker = await mended('base_url', () => site.readMarker(signal));
  if (marker !== undefined) {
    if (target.writable) await mended('writable', () => site.ensureStaging());
    return { volumeId: marker.volumeId };
  }
  if (!target.writable) return { volumeId: derivedVolumeId(target.baseUrl) };
  return { volumeId: await mended('writable', () => writeMarker(site, signal)) };
}

async function checkBase(site: Site, config: HttpConfig, signal: AbortSignal | undefined): Promise<void> {
  const doing = `Looking at ${site.name}`;
  const status = await mended('base_url', () => askStatus(site, doing, signal));
  if (status === 401) refuseCredentials(config, site.target);
  // A folder without a listing may be forbidden as such though its files are not.
  if (status === 403 && site.isWebdav) {
    refuse('username', `${site.name} is forbidden for these credentials (HTTP 403)`);
  }
  const fieldOf = (error: HoldfastError): string =>
    error.code !== 'not_supported' ? 'base_url' : site.target.writable ? 'writable' : 'listing';
  await mended(fieldOf, () => requireCollection(site, status, signal));
}

function refuseCredentials(config: HttpConfig, target: HttpTarget): never {
  const method = config.auth_method ?? 'none';
  if (method === 'none')
    refuse('auth_method', `${target.baseUrl.href} asks for credentials (HTTP 401), but none are configured`);
  refuse('password', `${target.baseUrl.href} refuses these ${method} credentials (HTTP 401)`);
}

async function checkListing(site: Site, signal: AbortSignal | undefined): Promise<void> {
  const { listing } = site.target;
  if (listing === 'none') return;
  if (site.listing === undefined) {
    // Nothing to list is no fault when it was left to us: files can still be read by their paths.
    await mended('listing', () => detectListing(site, signal));
    return;
  }
  await mended('listing', () => readFolder(site, ROOT, signal));
}

/** Runs a check; what a person can mend in the configuration is told as such, with the field. */
async function mended<T>(
  field: string | ((error: HoldfastError) => string),
  check: () => Promise<T>,
): Promise<T> {
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    const isPassing =
      error.retryable || ['cancelled', 'storage_full', 'validation_failed'].includes(error.code);
    if (isPassing) throw error;
    return refuse(typeof field === 'string' ? field : field(error), error.message.replace(/\.$/, ''), error);
  }
}

async function writeMarker(site: Site, signal: AbortSignal | undefined): Promise<string> {
  const marker = { volumeId: randomUUID(), createdAt: new Date().toISOString() };
  async function* source(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(renderMarker(marker));
  }
  using slot = new StagingSlot(prepareOwner);
  const staged = await stage(
    site,
    stagingPlace(slot),
    source(),
    { label: 'the marker file', signal },
    Date.now(),
  );
  const doing = `Writing the marker at ${site.name}`;
  const { segments: from, validator } = staged;
  const move = { from, to: MARKER, isFolder: false, overwrite: false, path: ROOT, validator, doing };
  try {
    if ((await relocate(site, move)) === 'moved') return marker.volumeId;
  } catch (error) {
    if (isHoldfastError(error)) await discardStaged(site, from);
    throw error;
  }
  // Somebody else set the same server up in this moment: theirs counts.
  await discardStaged(site, from);
  return (await site.readMarker(signal))?.volumeId ?? refuse('base_url', statusError(412, doing).message);
}
