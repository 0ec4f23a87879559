import { isLeftOver } from '../../volume/left-over.ts';
import type { SweepReport } from '../../backend.ts';
import { parseStagingName } from '../../volume/staging-slot.ts';
import { isFailure, nfsError } from '../failure.ts';
import type { NfsFileSystem, NfsFolderEntry } from '../file-system.ts';
import { nfsStatus } from '../status.ts';
import { readWholeFolder } from './listing.ts';
import type { Share } from './share.ts';

/**
 * Removes what interrupted writes left: staged files of this owner, and those of anyone that are older than 24 hours.
 * Writes of this process that are under way are left alone.
 * @returns files removed and their bytes
 */
export async function sweepStaging(share: Share): Promise<SweepReport> {
  const entered = await share.enter();
  const staging = await share.openStaging(entered);
  const report: SweepReport = { removed: 0, bytes: 0 };
  try {
    for (const entry of await readWholeFolder(entered.fs, staging)) {
      const staged = parseStagingName(entry.name.toString());
      if (staged === undefined || entry.attributes.type === 'directory') continue;
      const modifiedMs = Number(entry.attributes.mtimeNs / 1_000_000n);
      if (!isLeftOver(staged, share.ownerId, modifiedMs, Date.now())) continue;
      await removeCounted(entered.fs, staging, entry, report);
    }
  } catch (error) {
    throw nfsError(error, `Sweeping the staging folder of ${share.label}`);
  }
  return report;
}

async function removeCounted(
  fs: NfsFileSystem,
  staging: Buffer,
  { name, attributes }: NfsFolderEntry,
  report: SweepReport,
): Promise<void> {
  try {
    await fs.remove(staging, name, 'file');
    report.removed += 1;
    report.bytes += attributes.size;
  } catch (error) {
    if (!isFailure(error, nfsStatus.NOENT)) throw error;
  }
}
