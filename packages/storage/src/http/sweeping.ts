import { isLeftOver } from '../volume/left-over.ts';
import type { SweepReport } from '../backend.ts';
import { parseStagingName } from '../volume/staging-slot.ts';
import { STAGING } from './address.ts';
import { deleteAt } from './deleting.ts';
import { readReserved } from './folder-reading.ts';
import { nginxSuffix } from './full-disk.ts';
import type { Site } from './site.ts';

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
    if (staged === undefined || traits.isFolder) continue;
    if (!isLeftOver(staged, site.ownerId, traits.modifiedMs, now)) continue;
    const doing = `Removing the temporary file ${name}`;
    if (!(await deleteAt(site, [...STAGING, name], { isFolder: false, doing }))) continue;
    report.removed += 1;
    report.bytes += traits.size ?? 0;
  }
  return report;
}
