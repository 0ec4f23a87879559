import { isReservedName, isRoot, segmentProblem } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import { segmentsAt } from './address.ts';
import type { Segments } from './address.ts';
import type { ListingMode } from './config.ts';
import { garbledReply, statusError } from './failure.ts';
import { HtmlIndexReader } from './html-index.ts';
import { parseJsonIndex } from './json-index.ts';
import type { ListedName } from './json-index.ts';
import { lookUp } from './lookup.ts';
import { findProperties, isWithoutWebdav } from './properties.ts';
import type { HttpReply } from './reply.ts';
import type { Site } from './site.ts';

/** Bytes of an HTML index that are read at most. */
const maxHtmlBytes = 64 * 1024 * 1024;
/** Bytes of a JSON index that are read at most: it is parsed in one go, which must not hold others up for long. */
const maxJsonBytes = 16 * 1024 * 1024;

type Found = ListedName[] | 'missing' | 'file';

/**
 * The names in a folder, in the order of code units, without the reserved area.
 * @throws HoldfastError `file_not_found`, `not_a_directory`, `not_supported` (no listing here), `backend_unavailable`
 */
export async function readFolder(site: Site, path: BackendPath, signal?: AbortSignal): Promise<ListedName[]> {
  const segments = segmentsAt(path);
  const found = await readNames(site, segments, await listingOf(site, signal), signal);
  if (found === 'missing' || found === 'file') throw await notAFolder(site, path, signal);
  return found
    .filter(({ name }) => segmentProblem(name) === undefined && !(isRoot(path) && isReservedName(name)))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** As `readFolder`, for a place in the reserved area. Undefined when it is not there. */
export async function readReserved(site: Site, segments: Segments): Promise<ListedName[] | undefined> {
  const found = await readNames(site, segments, 'webdav', undefined);
  return typeof found === 'string' ? undefined : found;
}

/** How this server lists; found out by trying when it was left to us. */
async function listingOf(site: Site, signal: AbortSignal | undefined): Promise<Exclude<ListingMode, 'auto'>> {
  site.listing ??= await detectListing(site, signal);
  return site.listing;
}

/** Tries what can list the root, the best first. `none` when nothing does. */
export async function detectListing(site: Site, signal?: AbortSignal): Promise<Exclude<ListingMode, 'auto'>> {
  try {
    if ((await readNames(site, [], 'webdav', signal)) !== 'missing') return 'webdav';
  } catch (error) {
    if (!isWithoutWebdav(error)) throw error;
  }
  const url = site.addresses.of([]);
  const doing = `Looking for a listing at ${url.href}`;
  return site.connection.ask({ method: 'GET', url, doing, signal }, async (reply) => {
    if (reply.status >= 500 || reply.status === 401) throw statusError(reply.status, doing);
    if (!reply.isOk) return 'none';
    const type = mediaTypeOf(reply);
    if (type === 'text/html') return 'html';
    if (type !== 'application/json') return 'none';
    return parseJsonIndex(await reply.text(maxJsonBytes)) === undefined ? 'none' : 'json';
  });
}

async function readNames(
  site: Site,
  segments: Segments,
  mode: Exclude<ListingMode, 'auto'>,
  signal: AbortSignal | undefined,
): Promise<Found> {
  const doing = `Listing /${segments.join('/')}`;
  if (mode === 'none') {
    const text = `${doing} is not possible: this web server has no listing, or none is configured. Check config.listing.`;
    throw new HoldfastError('not_supported', text);
  }
  if (mode === 'webdav') return readProperties(site, segments, doing, signal);
  const url = site.addresses.of(segments, { asFolder: true });
  const headers = { accept: mode === 'json' ? 'application/json' : 'text/html' };
  return site.connection.ask({ method: 'GET', url, headers, doing, signal }, async (reply) => {
    if (reply.status === 404 || reply.status === 410) return 'missing';
    if (reply.status !== 200) throw statusError(reply.status, doing);
    if (mode === 'json' && mediaTypeOf(reply) !== 'application/json') throw noIndex(doing, 'JSON', reply);
    return mode === 'json' ? readJson(reply, doing) : readHtml(reply, site, segments, doing);
  });
}

async function readProperties(
  site: Site,
  segments: Segments,
  doing: string,
  signal: AbortSignal | undefined,
): Promise<Found> {
  const found = await findProperties(site, segments, '1', { doing, signal });
  if (found === undefined) return 'missing';
  if (!found.own.traits.isFolder) return 'file';
  return found.children.map(({ segments: at, traits }) => ({ name: at.at(-1) ?? '', traits }));
}

function noIndex(doing: string, wanted: string, reply: HttpReply): HoldfastError {
  const text = `${doing} failed: the web server shows ${mediaTypeOf(reply) || 'nothing known'}, not a ${wanted} index.`;
  return new HoldfastError('not_supported', `${text} Check config.listing.`);
}

async function readJson(reply: HttpReply, doing: string): Promise<Found> {
  const names = parseJsonIndex(await reply.text(maxJsonBytes));
  if (names === undefined) throw garbledReply(doing, 'it is not a JSON index');
  return names;
}

async function readHtml(reply: HttpReply, site: Site, segments: Segments, doing: string): Promise<Found> {
  if (mediaTypeOf(reply) !== 'text/html') throw noIndex(doing, 'HTML', reply);
  const reader = new HtmlIndexReader(site.addresses, segments);
  const decoder = new TextDecoder();
  let bytes = 0;
  for await (const chunk of reply.chunks()) {
    bytes += chunk.byteLength;
    if (bytes > maxHtmlBytes) throw garbledReply(doing, `it has more than ${maxHtmlBytes} bytes`);
    reader.write(decoder.decode(chunk, { stream: true }));
  }
  return reader.end();
}

function mediaTypeOf(reply: HttpReply): string {
  return (reply.header('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

async function notAFolder(
  site: Site,
  path: BackendPath,
  signal: AbortSignal | undefined,
): Promise<HoldfastError> {
  const entry = isRoot(path) ? null : await lookUp(site, path, signal);
  if (entry?.type === 'file') return new HoldfastError('not_a_directory', `${path} is a file, not a folder.`);
  return site.notFound(path, signal);
}
