import type { SweepReport } from '../../backend.ts';
import { parseStagingName } from '../../local/staging.ts';
import { isFailure, nfsError } from '../failure.ts';
import type { NfsFileSystem, NfsFolderEntry } from '../file-system.ts';
import { nfsStatus } from '../status.ts';
import { readWholeFolder } from './listing.ts';
import type { Share } from './share.ts';

/** A staged file that nobody has written to for this long belongs to no living hub, whoever made it. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

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
      if (staged === undefined || staged.isUnderWay || entry.attributes.type === 'directory') continue;
      if (staged.ownerId !== share.ownerId && !isAbandoned(entry)) continue;
      await removeCounted(entered.fs, staging, entry, report);
    }
  } catch (error) {
    throw nfsError(error, `Sweeping the staging folder of ${share.label}`);
  }
  return report;
}

function isAbandoned({ attributes }: NfsFolderEntry): boolean {
  return Date.now() - Number(attributes.mtimeNs / 1_000_000n) > abandonedAfterMs;
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
