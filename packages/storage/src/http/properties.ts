import { isHoldfastError } from '@holdfast/contract/errors';
import type { Segments } from './address.ts';
import type { Traits } from './entry.ts';
import { garbledReply, statusError } from './failure.ts';
import { MultistatusError, MultistatusReader, PROPERTIES_REQUEST } from './multistatus.ts';
import type { DavResource } from './multistatus.ts';
import type { HttpReply } from './reply.ts';
import { parseDate, parseSize } from './reply-traits.ts';
import type { Site } from './site.ts';

/** Bytes of one listing that are read at most: about 200,000 entries of Apache's, a million of nginx's. */
const maxListingBytes = 256 * 1024 * 1024;

/** What the properties of a resource say; undefined for its kind when the server does not tell it. */
function traitsOfResource(resource: DavResource, doing: string): Traits {
  const { contentLength, lastModified, etag, isFolder = false } = resource;
  const size = parseSize(contentLength);
  const modifiedMs = parseDate(lastModified);
  if (contentLength !== undefined && contentLength !== '' && size === undefined) {
    throw garbledReply(doing, 'a length that is no number');
  }
  if (lastModified !== undefined && lastModified !== '' && modifiedMs === undefined) {
    throw garbledReply(doing, 'a time that is none');
  }
  return { isFolder, size, modifiedMs, etag: etag === '' ? undefined : etag };
}

/** Hands each resource of a 207 reply on as it comes in. @throws HoldfastError `backend_unavailable` when it is damaged */
export async function readMultistatus(
  reply: HttpReply,
  doing: string,
  onResource: (resource: DavResource) => void,
): Promise<void> {
  const reader = new MultistatusReader(onResource);
  const decoder = new TextDecoder();
  let bytes = 0;
  try {
    for await (const chunk of reply.chunks()) {
      bytes += chunk.byteLength;
      if (bytes > maxListingBytes) throw garbledReply(doing, `it has more than ${maxListingBytes} bytes`);
      reader.write(decoder.decode(chunk, { stream: true }));
    }
    reader.end();
  } catch (error) {
    if (error instanceof MultistatusError) throw garbledReply(doing, error.message);
    throw error;
  }
}

/** A resource and where it is below the base address. */
export interface PlacedResource {
  segments: Segments;
  traits: Traits;
}

/**
 * Asks for the properties of a resource, with depth 1 also for those of its children.
 * @returns undefined when nothing is there
 * @throws HoldfastError `backend_unavailable`, also when the reply is about other addresses than the one asked for
 */
export async function findProperties(
  site: Site,
  segments: Segments,
  depth: '0' | '1',
  options: { doing: string; signal?: AbortSignal | undefined },
): Promise<{ own: PlacedResource; children: PlacedResource[] } | undefined> {
  const { doing, signal } = options;
  const url = site.addresses.of(segments, { asFolder: depth === '1' });
  const headers = { depth, 'content-type': 'application/xml; charset=utf-8' };
  const request = { method: 'PROPFIND' as const, url, headers, body: PROPERTIES_REQUEST, doing, signal };
  return site.connection.ask(request, async (reply) => {
    if (reply.status === 404 || reply.status === 410) return undefined;
    // Apache answers 400 for a path below a file; a plain look tells whether anything is there.
    if (reply.status === 400 && !(await isThere(site, url, doing, signal))) return undefined;
    if (reply.status !== 207) throw statusError(reply.status, doing);
    let own: PlacedResource | undefined;
    const children: PlacedResource[] = [];
    await readMultistatus(reply, doing, (resource) => {
      const at = site.addresses.segmentsOf(resource.href);
      if (at === undefined && isForeignName(resource.href)) return;
      const isBelow = at !== undefined && segments.every((segment, index) => at[index] === segment);
      const isNear = at?.length === segments.length || (depth === '1' && at?.length === segments.length + 1);
      if (!isBelow || !isNear || resource.href.includes('\ufffd')) {
        throw garbledReply(doing, `it is about another place than ${url.pathname}; check config.base_url`);
      }
      if (resource.status !== undefined && resource.status !== 200) return;
      const placed = { segments: at, traits: traitsOfResource(resource, doing) };
      if (at.length === segments.length) own = placed;
      else children.push(placed);
    });
    if (own === undefined)
      throw garbledReply(doing, `it is not about ${url.pathname}; check config.base_url`);
    return { own, children };
  });
}

/** A name that is not UTF-8, which no path can name: properly percent-encoded, but not to be decoded. */
function isForeignName(href: string): boolean {
  return /%[89a-f][0-9a-f]/i.test(href) && !/%(?![0-9a-f]{2})/i.test(href);
}

async function isThere(
  site: Site,
  url: URL,
  doing: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { status } = await site.connection.ask(
    { method: 'HEAD', url, doing, signal },
    async (reply) => reply,
  );
  return status !== 404 && status !== 410;
}

/** Whether an error only says that the server does not know PROPFIND there. */
export function isWithoutWebdav(error: unknown): boolean {
  return isHoldfastError(error, 'not_supported');
}
