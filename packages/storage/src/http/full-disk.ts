import { HoldfastError } from '@holdfast/contract/errors';
import { STAGING } from './address.ts';
import type { Segments } from './address.ts';
import { deleteAt } from './deleting.ts';
import { statusError } from './failure.ts';
import { readReserved } from './folder-reading.ts';
import type { Site } from './site.ts';

/** What nginx appends while it copies a body to another file system (ngx_ext_rename_file); left when that fails. */
export const nginxSuffix = /\.\d{10}$/;

/**
 * The error for a PUT that was answered with 500. nginx has no other status for a full disk, and leaves there what it
 * had copied so far: that is removed, and when a file of a few bytes then goes where the larger one did not, the disk
 * is the likely reason.
 */
export async function explainServerError(
  site: Site,
  segments: Segments,
  doing: string,
): Promise<HoldfastError> {
  const plain = statusError(500, doing, 'write');
  try {
    await removeRemains(site, segments.at(-1) ?? '');
    const url = site.addresses.of(segments);
    const reply = await site.connection.send({ method: 'PUT', url, body: 'small', doing });
    await reply.discard();
    if (!reply.isOk) return plain;
  } catch {
    return plain; // the first failure is the one to tell
  }
  const text = `${doing} failed: the web server answered 500, but takes small files. Its disk is probably full.`;
  return new HoldfastError(
    'storage_full',
    `${text} Free some space, then try again; its error log says more.`,
  );
}

async function removeRemains(site: Site, stagedName: string): Promise<void> {
  for (const { name } of (await readReserved(site, STAGING)) ?? []) {
    if (name === stagedName || name.replace(nginxSuffix, '') !== stagedName) continue;
    await deleteAt(site, [...STAGING, name], {
      isFolder: false,
      doing: `Removing the temporary file ${name}`,
    });
  }
}
