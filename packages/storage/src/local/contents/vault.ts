import { syncFolder } from '@holdfast/bytes/durable-folder';
import { stageFile } from '@holdfast/bytes/durable-file';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { renameIfFree } from '@holdfast/bytes/rename-if-free';
import { RESERVED_FOLDER } from '@holdfast/bytes/backend-path';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { Stats } from 'node:fs';
import { constants } from 'node:fs';
import { lstat, open, readdir, rename, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { OpenFile } from '../../backend.ts';
import type { ContentPage, StoreContentOptions, StoreContentResult, StoredContent } from '../../contents.ts';
import {
  contentPath,
  noSuchContent,
  noSuchUpload,
  requireContentName,
  VAULT_FOLDER,
  vaultFolderOf,
} from '../../contents/content-names.ts';
import { readVaultPage } from '../../contents/vault-page.ts';
import { StagingSlot } from '../../volume/staging-slot.ts';
import { openOrMake } from '../folder-handle.ts';
import type { FolderHandle } from '../folder-handle.ts';
import { LocalFile } from '../open-file.ts';
import type { Volume } from '../volume.ts';
import type { StagedFiles } from './staged-files.ts';

const vaultPath = `${RESERVED_FOLDER}/${VAULT_FOLDER}`;

function relativePath(sha256: string): string {
  requireContentName(sha256);
  return `${vaultPath}/${vaultFolderOf(sha256)}/${sha256}`;
}

/** Stats of a file; null when there is none. */
async function lookAt(path: string): Promise<Stats | null> {
  try {
    const stats = await lstat(path);
    return stats.isFile() ? stats : null;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return null;
    throw error;
  }
}

/** Null when it is not there. @throws HoldfastError `backend_unavailable`, `wrong_volume` */
export async function statContent(volume: Volume, sha256: string): Promise<StoredContent | null> {
  const path = relativePath(sha256);
  try {
    const stats = await lookAt(`${volume.root}/${path}`);
    if (stats !== null) return contentOf(sha256, stats);
  } catch (error) {
    throw fileSystemError(error, `Looking at the content ${sha256}`, 'read');
  }
  // Nothing there, or no volume?
  await (await volume.enter())[Symbol.asyncDispose]();
  return null;
}

/** Bytes keep the time of their last write when they get their name; the change of the inode is when they got it. */
function contentOf(sha256: string, { size, mtimeMs, ctimeMs }: Stats): StoredContent {
  return { sha256, size, storedAt: new Date(Math.max(mtimeMs, ctimeMs)) };
}

/** @throws HoldfastError `content_not_found` */
export async function openContent(volume: Volume, sha256: string): Promise<OpenFile> {
  const path = relativePath(sha256);
  let handle: FileHandle | undefined;
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    handle = await open(`${volume.root}/${path}`, flags);
    const stats = await handle.stat({ bigint: true });
    if (stats.isFile()) return new LocalFile(handle, contentPath(sha256), stats);
  } catch (error) {
    await handle?.close();
    handle = undefined;
    if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) {
      throw fileSystemError(error, `Opening the content ${sha256}`, 'read');
    }
  }
  await handle?.close();
  await (await volume.enter())[Symbol.asyncDispose]();
  throw noSuchContent(sha256);
}

/** Opens the folder of the vault that a content belongs into; it is made, durably, when it is missing. */
async function openVaultFolder(volume: Volume, root: FolderHandle, sha256: string): Promise<FolderHandle> {
  await using vault = await volume.openReserved(root, VAULT_FOLDER);
  return await openOrMake(vault, vaultFolderOf(sha256));
}

/**
 * Moves the staged file of an upload into the vault. Whatever a crash has left undone of it is done by the next call.
 * @throws HoldfastError `file_not_found` when neither staged file nor content are there
 */
export async function publishStaged(
  files: StagedFiles,
  id: string,
  sha256: string,
  size: number,
): Promise<{ stored: boolean }> {
  requireContentName(sha256);
  const { volume } = files;
  const doing = `Publishing the upload ${id}`;
  await using uploads = await files.enter();
  await using root = await volume.enter();
  const staged = uploads.child(id);
  try {
    await using folder = await openVaultFolder(volume, root, sha256);
    const target = folder.child(sha256);
    const stats = await lookAt(staged);
    if (stats === null) {
      if ((await lookAt(target))?.size !== size) throw noSuchUpload(id);
      // It was moved before; whether the name was durable by then nobody knows.
      await syncFolder(folder.path);
      return { stored: true };
    }
    if (stats.size !== size) throw noSuchUpload(id);
    const stored = await giveVaultName(staged, stats, target);
    await syncFolder(folder.path);
    return { stored };
  } catch (error) {
    throw fileSystemError(error, doing);
  }
}

/** @returns false when the content was there: it stays, and the staged file goes */
async function giveVaultName(staged: string, stats: Stats, target: string): Promise<boolean> {
  try {
    await renameIfFree(staged, target);
    return true;
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  const present = await lookAt(target);
  // What has another size is damaged, and cannot be the content of its name.
  if (present?.size !== stats.size) {
    await rename(staged, target);
    return true;
  }
  await unlink(staged);
  return present.ino === stats.ino && present.dev === stats.dev;
}

/** Stores a source of unknown digest: staged, verified, then moved into the vault. */
export async function storeContent(
  volume: Volume,
  source: AsyncIterable<Uint8Array>,
  options: StoreContentOptions,
): Promise<StoreContentResult> {
  await using root = await volume.enter();
  await using staging = await volume.openStaging(root);
  using slot = new StagingSlot(volume.ownerId);
  await using staged = await stageFile(source, {
    folder: staging.path,
    name: slot.tempName,
    label: 'the content',
    expectedSize: options.expectedSize,
    expectedSha256: options.expectedSha256,
    signal: options.signal,
  });
  await volume.verifyStaged?.(staging.child(slot.tempName), staged);
  const { sha256, size } = staged;
  // Entered anew: a volume that was unmounted while the bytes came in must not count as written.
  await using now = await volume.enter();
  try {
    await using folder = await openVaultFolder(volume, now, sha256);
    const target = { folder: folder.path, name: sha256 };
    try {
      await staged.publish({ ...target, ifAbsent: true });
    } catch (error) {
      if (!isHoldfastError(error, 'precondition_failed')) throw error;
      if ((await lookAt(folder.child(sha256)))?.size === size) {
        // Whoever stores it at the same time may not have come to that yet.
        await syncFolder(folder.path);
        return { sha256, size, stored: false };
      }
      await staged.publish(target);
    }
    return { sha256, size, stored: true };
  } catch (error) {
    throw fileSystemError(error, `Storing the content ${sha256}`);
  }
}

/** Removes a content, durably; false when it was not there. */
export async function removeContent(volume: Volume, sha256: string): Promise<boolean> {
  const path = relativePath(sha256);
  await using root = await volume.enter();
  try {
    await unlink(root.child(path));
    await syncFolder(root.child(`${vaultPath}/${vaultFolderOf(sha256)}`));
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return false;
    throw fileSystemError(error, `Removing the content ${sha256}`);
  }
}

/** One page of the vault. */
export async function listContents(
  volume: Volume,
  options: { after?: string; limit: number },
): Promise<ContentPage> {
  await using root = await volume.enter();
  const names = async (path: string): Promise<string[]> =>
    readdir(root.child(path)).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return [];
      throw fileSystemError(error, `Listing the vault of ${volume.root}`, 'read');
    });
  return await readVaultPage(
    {
      folders: () => names(vaultPath),
      names: (folder) => names(`${vaultPath}/${folder}`),
      look: async (sha256) => {
        const stats = await lookAt(root.child(relativePath(sha256)));
        return stats && contentOf(sha256, stats);
      },
    },
    options,
  );
}
