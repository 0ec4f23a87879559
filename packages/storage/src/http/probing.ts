import { RESERVED_FOLDER, ROOT } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import type { ProbeReport } from '../backend.ts';
import { CheckList } from '../probing/check-list.ts';
import type { Attempt } from '../probing/check-list.ts';
import { StagingSlot } from '../volume/staging-slot.ts';
import { deleteAt } from './deleting.ts';
import { statusError } from './failure.ts';
import { readReserved } from './folder-reading.ts';
import { listFolder } from './listing.ts';
import { findProperties } from './properties.ts';
import type { Site } from './site.ts';
import { digestOf, discardStaged, stage, stagingPlace } from './upload.ts';
import type { StagedUpload } from './upload.ts';
import { readUsage } from './usage.ts';

const probeBytes = 4096;

/** Tries in order what a backend is for. After the first failure the rest is told as not tried. Never throws. */
export async function probeSite(site: Site, signal?: AbortSignal): Promise<ProbeReport> {
  const list = new CheckList(signal);
  await probeReading(site, list.attempt, signal);
  if (site.target.writable) await probeWriting(site, list, signal);
  return list.report();
}

async function probeReading(site: Site, attempt: Attempt, signal: AbortSignal | undefined): Promise<void> {
  const { baseUrl, listing } = site.target;
  let status = 0;
  await attempt('resolve', `${baseUrl.hostname} has an address.`, () => resolveHost(baseUrl.hostname));
  await attempt('connect', `${baseUrl.origin} answers.`, async () => {
    const doing = `Connecting to ${baseUrl.origin}`;
    status = await askStatus(site, doing, signal);
  });
  await attempt('authenticate', 'The credentials are accepted.', async () => {
    // A folder without a listing may be forbidden as such though its files are not.
    if (status === 401 || (status === 403 && site.isWebdav))
      throw statusError(status, `Authenticating at ${site.name}`);
  });
  await attempt('collection', `${site.name} is there.`, async () => {
    await requireCollection(site, status, signal);
  });
  await attempt('volume', 'The marker file is the one of this backend, or none is needed.', () =>
    site.enter(signal),
  );
  if (listing !== 'none') {
    const remark = ' Names that begin with a dot do not show in its listings.';
    const passed = (isHiding: boolean): string => `The root can be listed.${isHiding ? remark : ''}`;
    await attempt('list', passed, async () => {
      await listFolder(site, ROOT, { limit: 1, ...(signal && { signal }) });
      return hidesDotNames(site);
    });
  }
}

/** nginx leaves out names that begin with a dot: on a writable server the reserved area is one that must be there. */
async function hidesDotNames(site: Site): Promise<boolean> {
  if (!site.target.writable) return false;
  const names = await readReserved(site, []);
  return names?.every(({ name }) => name !== RESERVED_FOLDER) ?? false;
}

/** The status that the base address answers with: to PROPFIND on WebDAV, where GET may be forbidden; else to HEAD. */
export async function askStatus(site: Site, doing: string, signal?: AbortSignal): Promise<number> {
  const url = site.addresses.of([]);
  const request = site.isWebdav
    ? { method: 'PROPFIND' as const, url, headers: { depth: '0' }, doing, signal }
    : { method: 'HEAD' as const, url, doing, signal };
  return site.connection.ask(request, async (reply) => reply.status);
}

async function resolveHost(hostname: string): Promise<void> {
  try {
    // An IPv6 address stands in brackets in a URL.
    await lookup(hostname.replace(/^\[(.*)\]$/, '$1'));
  } catch (error) {
    const text = `The host name ${hostname} has no address. Check config.base_url and the name server.`;
    throw new HoldfastError('backend_unavailable', text, { cause: error });
  }
}

/** Checks that the base address is a folder: with WebDAV a collection, else anything but missing. */
export async function requireCollection(site: Site, status: number, signal?: AbortSignal): Promise<void> {
  const doing = `Looking at ${site.name}`;
  if (!site.isWebdav) {
    if (status === 404 || status === 410) {
      const text = `There is nothing at ${site.name} (HTTP ${status}). Check the path in config.base_url.`;
      throw new HoldfastError('backend_unavailable', text, { retryable: false });
    }
    if (status >= 500) throw statusError(status, doing);
    return;
  }
  const found = await findProperties(site, [], '0', { doing, signal });
  if (found?.own.traits.isFolder !== true) {
    const text = `There is no WebDAV collection at ${site.name}. Check the path in config.base_url.`;
    throw new HoldfastError('backend_unavailable', text, { retryable: false });
  }
  // So that the capability is known from the first check on.
  await readUsage(site, signal);
}

async function probeWriting(site: Site, list: CheckList, signal: AbortSignal | undefined): Promise<void> {
  const { attempt } = list;
  using slot = new StagingSlot(site.ownerId);
  const segments = stagingPlace(slot);
  let staged: StagedUpload | undefined;
  await attempt('write', `${probeBytes} bytes were written, and found to be the same.`, async () => {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield randomBytes(probeBytes);
    }
    staged = await stage(site, segments, source(), { label: 'a file for the check', signal }, Date.now());
  });
  await attempt('read', 'The same bytes came back.', async () => {
    const found = await digestOf(site, segments, 'Reading the file of the check', signal);
    if (found.sha256 === staged?.sha256) return;
    throw new HoldfastError(
      'checksum_mismatch',
      'Other bytes came back than were written. Check the network.',
    );
  });
  await attempt('remove', 'The file of the check was removed.', async () => {
    await deleteAt(site, segments, { isFolder: false, doing: 'Removing the file of the check', signal });
    staged = undefined;
  });
  if (staged !== undefined) await list.cleanUp(() => discardStaged(site, segments));
}
