import type { BackendPath } from '@holdfast/bytes/backend-path';
import { StreamDigest } from '@holdfast/bytes/sha256';
import type { StorageEntry } from '../backend.ts';
import { fileEntry, validatorOf } from './entry.ts';
import type { Traits } from './entry.ts';
import { statusError } from './failure.ts';
import { traitsOf } from './reply-traits.ts';
import type { Site } from './site.ts';

const maxRemembered = 1000;

/**
 * The entry of a file whose server does not tell its length, or neither a time nor an ETag: found by reading all of it.
 * A missing length is remembered for as long as time and ETag stay; where those are missing the file is read each
 * time, and the digest of its bytes is the validator.
 */
export async function measure(
  site: Site,
  url: URL,
  path: BackendPath,
  seen: Traits,
  doing: string,
  signal: AbortSignal | undefined,
): Promise<StorageEntry | null> {
  const own = validatorOf(seen);
  const key = own === undefined ? undefined : `${url.href} ${own}`;
  const known = key === undefined ? undefined : site.measured.get(key);
  if (known !== undefined) return fileEntry(path, { ...known, modifiedMs: seen.modifiedMs });
  return site.connection.ask({ method: 'GET', url, doing, signal }, async (reply) => {
    if (reply.status === 404 || reply.status === 410) return null;
    if (reply.status !== 200) throw statusError(reply.status, doing);
    const traits = traitsOf(reply, doing);
    const digest = new StreamDigest();
    for await (const chunk of reply.chunks()) digest.update(chunk);
    const size = digest.bytes;
    const validator = validatorOf({ ...traits, size }) ?? `sha256-${digest.hex()}`;
    const isSame = key !== undefined && validatorOf(traits) === own;
    if (isSame) remember(site, key, { size, validator });
    return fileEntry(path, { size, validator, modifiedMs: traits.modifiedMs });
  });
}

/** Whether a validator is the digest of the bytes, because the server tells neither a time nor an ETag. */
export function isMeasuredOnly(validator: string): boolean {
  return validator.startsWith('sha256-');
}

function remember(site: Site, key: string, found: { size: number; validator: string }): void {
  const oldest = site.measured.keys().next();
  if (site.measured.size >= maxRemembered && oldest.done !== true) site.measured.delete(oldest.value);
  site.measured.set(key, found);
}
