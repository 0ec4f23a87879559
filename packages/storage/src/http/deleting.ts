import { HoldfastError } from '@holdfast/contract/errors';
import type { Segments } from './address.ts';
import { statusError } from './failure.ts';
import type { Site } from './site.ts';

/**
 * Removes what is at a place by one DELETE; a folder with all that is in it. When an attempt broke off, nothing being
 * there at the next one is its success.
 * @returns false when nothing was there
 */
export async function deleteAt(
  site: Site,
  segments: Segments,
  options: { isFolder: boolean; doing: string; signal?: AbortSignal | undefined },
): Promise<boolean> {
  const { isFolder, doing, signal } = options;
  const url = site.addresses.of(segments, { asFolder: isFolder });
  let attempts = 0;
  return site.connection.ask({ method: 'DELETE', url, doing, signal }, async (reply) => {
    attempts += 1;
    if (reply.status === 404 || reply.status === 410) return attempts > 1;
    // RFC 4918 §9.6.1: 207 names the members that could not be removed.
    if (reply.status === 207) {
      const text = `${doing} was done in part only: the web server could not remove all of it. Check its permissions.`;
      throw new HoldfastError('conflict', text);
    }
    if (!reply.isOk) throw statusError(reply.status, doing, 'write');
    return true;
  });
}
