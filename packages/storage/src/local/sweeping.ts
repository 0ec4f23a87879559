import { errnoOf, fileSystemError, isTempName, syncFolder } from '@holdfast/bytes/durable-file';
import { isHoldfastError } from '@holdfast/contract/errors';
import { lstat, readdir, readFile, unlink } from 'node:fs/promises';
import type { SweepReport } from '../backend.ts';
import type { FolderHandle } from './folder-handle.ts';
import { openFolderRaw } from './jail.ts';
import { parseIntent, parseStagingName } from './staging.ts';
import type { Volume } from './volume.ts';

/** A staged file that nobody has written to for this long belongs to no living hub, whoever made it. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

/**
 * Removes what interrupted writes left: staged files of this owner, and those of anyone that are older than 24 hours;
 * temporary files in target folders, by the intents that were recorded for them. Writes of this process that are under
 * way are left alone.
 * @returns files removed and their bytes
 */
export async function sweepStaging(volume: Volume): Promise<SweepReport> {
  await using root = await volume.enter();
  await using staging = await volume.openStaging(root);
  const report: SweepReport = { removed: 0, bytes: 0 };
  try {
    for (const name of await readdir(staging.path)) {
      const staged =
        parseStagingName(name) ??
        (isTempName(name) ? { ownerId: '', kind: 'temp', isUnderWay: false } : undefined);
      if (staged === undefined || staged.isUnderWay) continue;
      if (staged.ownerId !== volume.ownerId && !(await isAbandoned(staging.child(name)))) continue;
      if (staged.kind === 'temp') await removeCounted(staging.child(name), report);
      else await sweepIntent(root, staging.child(name), report);
    }
    await syncFolder(staging.path);
  } catch (error) {
    throw fileSystemError(error, `Sweeping the staging folder of ${volume.root}`);
  }
  return report;
}

async function isAbandoned(path: string): Promise<boolean> {
  try {
    return Date.now() - (await lstat(path)).mtimeMs > abandonedAfterMs;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

async function sweepIntent(root: FolderHandle, path: string, report: SweepReport): Promise<void> {
  const intent = parseIntent(await readFile(path, 'utf8'));
  if (intent !== undefined) {
    try {
      await using folder = await openFolderRaw(root, intent.folder);
      await removeCounted(folder.child(intent.name), report);
      await syncFolder(folder.path);
    } catch (error) {
      // The folder is gone, or is no longer inside: so is what stood in it.
      const isGone = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR';
      if (!isGone && !isHoldfastError(error, 'invalid_path')) throw error;
    }
  }
  await unlink(path);
}

async function removeCounted(path: string, report: SweepReport): Promise<void> {
  try {
    const { size } = await lstat(path);
    await unlink(path);
    report.removed += 1;
    report.bytes += size;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
