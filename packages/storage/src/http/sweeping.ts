import type { SweepReport } from '../backend.ts';
import { parseStagingName } from '../local/staging.ts';
import { STAGING } from './address.ts';
import { deleteAt } from './deleting.ts';
import { readReserved } from './folder-reading.ts';
import { nginxSuffix } from './full-disk.ts';
import type { Site } from './site.ts';

/** A staged file that nobody has written to for this long belongs to no living hub, whoever made it. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

/**
 * Removes what interrupted writes left: staged files of this owner, and those of anyone that are older than 24 hours.
 * Writes of this process that are under way are left alone.
 * @returns files removed and their bytes
 */
export async function sweepStaging(site: Site, now = Date.now()): Promise<SweepReport> {
  const report: SweepReport = { removed: 0, bytes: 0 };
  if (!site.target.writable) return report;
  await site.enter();
  for (const { name, traits } of (await readReserved(site, STAGING)) ?? []) {
    const staged = parseStagingName(name.replace(nginxSuffix, ''));
    if (staged === undefined || staged.isUnderWay || traits.isFolder) continue;
    const isAbandoned = traits.modifiedMs !== undefined && now - traits.modifiedMs > abandonedAfterMs;
    if (staged.ownerId !== site.ownerId && !isAbandoned) continue;
    const doing = `Removing the temporary file ${name}`;
    if (!(await deleteAt(site, [...STAGING, name], { isFolder: false, doing }))) continue;
    report.removed += 1;
    report.bytes += traits.size ?? 0;
  }
  return report;
}
