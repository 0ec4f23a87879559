import { HoldfastError } from '@holdfast/contract/errors';
import type { Usage } from '../backend.ts';
import { statusError } from './failure.ts';
import { USAGE_REQUEST } from './multistatus.ts';
import type { DavResource } from './multistatus.ts';
import { readMultistatus } from './properties.ts';
import { parseSize } from './reply-traits.ts';
import type { Site } from './site.ts';

/**
 * What the server says of its quota at the root (RFC 4331 §3, §4), or undefined when it does not: few do, and some
 * answer with a negative number for "unknown" or "unlimited".
 */
export async function readUsage(site: Site, signal?: AbortSignal): Promise<Usage | undefined> {
  const doing = `Asking for the usage of ${site.name}`;
  const headers = { depth: '0', 'content-type': 'application/xml; charset=utf-8' };
  const url = site.addresses.of([]);
  const request = { method: 'PROPFIND' as const, url, headers, body: USAGE_REQUEST, doing, signal };
  const resource = await site.connection.ask(request, async (reply) => {
    if (reply.status !== 207) throw statusError(reply.status, doing);
    let found: DavResource | undefined;
    await readMultistatus(reply, doing, (one) => (found ??= one));
    return found;
  });
  const used = parseSize(resource?.quotaUsed);
  const available = parseSize(resource?.quotaAvailable);
  const usage =
    used === undefined || available === undefined
      ? undefined
      : { usedBytes: used, totalBytes: used + available };
  site.tellsUsage = usage !== undefined;
  return usage;
}

/** As `readUsage`, where the capability was announced. @throws HoldfastError `not_supported` */
export async function requireUsage(site: Site, signal?: AbortSignal): Promise<Usage> {
  const usage = await readUsage(site, signal);
  if (usage !== undefined) return usage;
  throw new HoldfastError('not_supported', `${site.name} does not tell its quota any more.`);
}
