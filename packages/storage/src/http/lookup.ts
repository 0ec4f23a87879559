import { isRoot, parentOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { StorageEntry } from '../backend.ts';
import { isAFileInTheWay } from '../path-rules/refusals.ts';
import { segmentsAt } from './address.ts';
import type { Segments } from './address.ts';
import { fileEntry, folderEntry, validatorOf } from './entry.ts';
import type { Traits } from './entry.ts';
import { statusError } from './failure.ts';
import { measure } from './measuring.ts';
import { findProperties } from './properties.ts';
import { parseContentRange, traitsOf } from './reply-traits.ts';
import type { Site } from './site.ts';

/** The entry of what is at a path, or null. With WebDAV by its properties, else by the headers of its reply. */
export async function lookUp(
  site: Site,
  path: BackendPath,
  signal?: AbortSignal,
): Promise<StorageEntry | null> {
  return lookUpAt(site, segmentsAt(path), path, signal);
}

/** As `lookUp`, for a place in the reserved area, which no path can name; `path` is what the entry will say. */
export async function lookUpAt(
  site: Site,
  segments: Segments,
  path: BackendPath,
  signal?: AbortSignal,
): Promise<StorageEntry | null> {
  const doing = `Looking at /${segments.join('/')}`;
  if (!site.isWebdav) return lookByHeaders(site, segments, path, doing, signal);
  const found = await findProperties(site, segments, '0', { doing, signal });
  return found === undefined ? null : entryOfProperties(site, segments, path, found.own.traits, signal);
}

/**
 * The entry of a file or folder whose traits come from a listing. The first time, a file is looked at by its own reply
 * too: only when both give the same validator are listings trusted from then on; otherwise every file is looked at.
 * Null when it is gone.
 */
export async function entryOfProperties(
  site: Site,
  segments: Segments,
  path: BackendPath,
  traits: Traits,
  signal?: AbortSignal,
): Promise<StorageEntry | null> {
  if (traits.isFolder) return folderEntry(path, traits.modifiedMs);
  const listed = entryOfTraits(path, traits);
  if (site.listingsAgree === true && listed !== undefined) return listed;
  const seen = await lookByHeaders(site, segments, path, `Looking at /${segments.join('/')}`, signal);
  if (site.listingsAgree === undefined && seen?.type === 'file') {
    site.listingsAgree = listed !== undefined && listed.validator === seen.validator;
  }
  return seen;
}

/** The entry of a file, or undefined when size or validator are missing. */
function entryOfTraits(path: BackendPath, traits: Traits): StorageEntry | undefined {
  const { size, modifiedMs } = traits;
  const validator = validatorOf(traits);
  if (size === undefined || validator === undefined) return undefined;
  return fileEntry(path, { size, modifiedMs, validator });
}

async function lookByHeaders(
  site: Site,
  segments: Segments,
  path: BackendPath,
  doing: string,
  signal: AbortSignal | undefined,
): Promise<StorageEntry | null> {
  // The root is a folder whatever it shows: a start page, a listing, or nothing at all.
  if (segments.length === 0) return folderEntry(path, undefined);
  const url = site.addresses.of(segments);
  const seen = await askHeaders(site, url, doing, signal);
  if (seen === null) return null;
  if (seen.isFolder) return folderEntry(path, seen.modifiedMs);
  return entryOfTraits(path, seen) ?? measure(site, url, path, seen, doing, signal);
}

async function askHeaders(
  site: Site,
  url: URL,
  doing: string,
  signal: AbortSignal | undefined,
): Promise<Traits | null> {
  const head = { method: 'HEAD' as const, url, doing, signal, stopAtSlash: true };
  const traits = await site.connection.ask(head, async (reply) => {
    if (reply.status === 404 || reply.status === 410) return null;
    if (URL.parse(reply.header('location') ?? '', url.href)?.pathname === `${url.pathname}/`) {
      return { isFolder: true, size: undefined, modifiedMs: undefined, etag: undefined };
    }
    if (reply.status === 405 || reply.status === 501) return undefined;
    if (!reply.isOk) throw statusError(reply.status, doing);
    return traitsOf(reply, doing);
  });
  if (traits === null || traits?.isFolder === true || traits?.size !== undefined) return traits;
  return askFirstByte(site, url, doing, signal, traits);
}

/** For servers without HEAD, or without a length in its reply: the first byte comes with the length of all. */
async function askFirstByte(
  site: Site,
  url: URL,
  doing: string,
  signal: AbortSignal | undefined,
  known: Traits | undefined,
): Promise<Traits | null> {
  const request = { method: 'GET' as const, url, headers: { range: 'bytes=0-0' }, doing, signal };
  return site.connection.ask(request, async (reply) => {
    if (reply.status === 404 || reply.status === 410) return null;
    // RFC 9110 §14.4: an empty file has no first byte, and the reply says how long it is.
    if (reply.status === 416) return { ...emptyOf(reply.header('content-range')), ...known, size: 0 };
    if (!reply.isOk) throw statusError(reply.status, doing);
    const traits = traitsOf(reply, doing);
    const range = parseContentRange(reply.header('content-range'));
    return { ...traits, size: range?.total ?? traits.size };
  });
}

function emptyOf(contentRange: string | undefined): Traits {
  const isEmpty = contentRange === undefined || contentRange === 'bytes */0';
  return { isFolder: false, size: isEmpty ? 0 : undefined, modifiedMs: undefined, etag: undefined };
}

/**
 * Checks that the folders of a path that is about to be written can be there.
 * @returns the folders that are missing, topmost first
 * @throws HoldfastError `not_a_directory` when a file stands in the way
 */
export async function missingFolders(
  site: Site,
  path: BackendPath,
  signal?: AbortSignal,
): Promise<BackendPath[]> {
  const missing: BackendPath[] = [];
  for (let folder = parentOf(path); !isRoot(folder); folder = parentOf(folder)) {
    const entry = await lookUp(site, folder, signal);
    if (entry?.type === 'directory') break;
    if (entry !== null) throw isAFileInTheWay(folder);
    missing.unshift(folder);
  }
  return missing;
}

/** Makes the missing folders above a path. @throws HoldfastError `not_a_directory` */
export async function makeParents(site: Site, path: BackendPath, signal?: AbortSignal): Promise<void> {
  for (const folder of await missingFolders(site, path, signal)) {
    await site.makeCollection(segmentsAt(folder), signal);
  }
}
