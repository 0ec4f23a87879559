import { syncFolder } from '@holdfast/bytes/durable-folder';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { isTempName } from '@holdfast/bytes/temp-name';
import { isHoldfastError } from '@holdfast/contract/errors';
import { lstat, readdir, readFile, unlink } from 'node:fs/promises';
import type { SweepReport } from '../backend.ts';
import { isLeftOver } from '../volume/left-over.ts';
import { parseStagingName } from '../volume/staging-slot.ts';
import type { StagedName } from '../volume/staging-slot.ts';
import type { FolderHandle } from './folder-handle.ts';
import { parseIntent } from './intents.ts';
import { openFolderRaw } from './jail.ts';
import type { Volume } from './volume.ts';

/** The reserved area has temporary files of its own, which do not say whose they are. */
const ownerless: StagedName = { ownerId: '', kind: 'temp', isUnderWay: false };

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
      const staged = parseStagingName(name) ?? (isTempName(name) ? ownerless : undefined);
      if (staged === undefined) continue;
      const modifiedMs = await lastWritten(staging.child(name));
      if (!isLeftOver(staged, volume.ownerId, modifiedMs, Date.now())) continue;
      if (staged.kind === 'temp') await removeCounted(staging.child(name), report);
      else await sweepIntent(root, staging.child(name), report);
    }
    await syncFolder(staging.path);
  } catch (error) {
    throw fileSystemError(error, `Sweeping the staging folder of ${volume.root}`);
  }
  return report;
}

/** Milliseconds since the epoch; undefined when it is gone. */
async function lastWritten(path: string): Promise<number | undefined> {
  try {
    return (await lstat(path)).mtimeMs;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
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
