import { HoldfastError } from '@holdfast/contract/errors';
import type {
  ContentPage,
  StoreContentOptions,
  StoreContentResult,
  StoredContent,
} from '../../../contents.ts';
import {
  contentPath,
  noSuchContent,
  noSuchUpload,
  requireContentName,
  VAULT_FOLDER,
  vaultFolderOf,
} from '../../../contents/content-names.ts';
import { readVaultPage } from '../../../contents/vault-page.ts';
import { isFailure, nfsError } from '../../failure.ts';
import type { NfsAttributes, NfsNode } from '../../file-system.ts';
import { nfsStatus } from '../../status.ts';
import { readWholeFolder } from '../listing.ts';
import { giveName } from '../naming.ts';
import type { Named } from '../naming.ts';
import { ShareFile } from '../open-file.ts';
import type { EnteredShare, Share } from '../share.ts';
import { withStaged } from '../staging.ts';
import type { StagedFiles } from './staged-files.ts';

function contentOf(sha256: string, { size, mtimeNs }: NfsAttributes): StoredContent {
  return { sha256, size, storedAt: new Date(Number(mtimeNs / 1_000_000n)) };
}

/** Null when it is not there; what is missing is looked for twice, as a name may have been changed on its way. */
async function find({ fs, reserved }: EnteredShare, sha256: string): Promise<NfsNode | null> {
  const names = [VAULT_FOLDER, vaultFolderOf(sha256), sha256];
  const look = async (): Promise<NfsNode | undefined> => (await fs.walk(reserved, names))[names.length - 1];
  try {
    const node = (await look()) ?? (await look());
    return node?.attributes.type === 'file' ? node : null;
  } catch (error) {
    throw nfsError(error, `Looking at the content ${sha256}`, 'read');
  }
}

/** Null when it is not there. @throws HoldfastError `backend_unavailable`, `wrong_volume` */
export async function statContent(share: Share, sha256: string): Promise<StoredContent | null> {
  requireContentName(sha256);
  const node = await find(await share.enter(), sha256);
  return node && contentOf(sha256, node.attributes);
}

/** @throws HoldfastError `content_not_found` */
export async function openContent(share: Share, sha256: string): Promise<ShareFile> {
  requireContentName(sha256);
  const entered = await share.enter();
  const node = await find(entered, sha256);
  if (node === null) throw noSuchContent(sha256);
  try {
    const file = await entered.fs.open(node.handle);
    try {
      return new ShareFile(file, contentPath(sha256), await file.attributes());
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw error;
    }
  } catch (error) {
    if (isFailure(error, nfsStatus.NOENT, nfsStatus.STALE)) throw noSuchContent(sha256);
    throw nfsError(error, `Opening the content ${sha256}`, 'read');
  }
}

/**
 * Gives staged bytes their name in the vault.
 * @returns false when the content was there: it stays
 */
async function giveVaultName(share: Share, staged: Named, sha256: string, label: string): Promise<boolean> {
  // Entered anew: a share that was exchanged while the bytes came in must not count as written.
  const entered = await share.enter();
  const folder = await share.openReserved(entered, VAULT_FOLDER, vaultFolderOf(sha256));
  try {
    await giveName(entered.fs, staged, { folder, name: sha256, onlyIfFree: true }, label);
    return true;
  } catch (error) {
    if (!isFailure(error, nfsStatus.EXIST)) throw nfsError(error, `Publishing ${label}`);
  }
  const present = await find(entered, sha256);
  if (present?.attributes.size === staged.attributes.size) return false;
  try {
    // What has another size is damaged, and cannot be the content of its name.
    await giveName(entered.fs, staged, { folder, name: sha256, onlyIfFree: false }, label);
    return true;
  } catch (error) {
    throw nfsError(error, `Publishing ${label}`);
  }
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
  const uploads = await files.enter();
  const node = await files.find(uploads, id);
  if (node === null) {
    // It was moved before.
    if ((await find(uploads, sha256))?.attributes.size === size) return { stored: true };
    throw noSuchUpload(id);
  }
  if (node.attributes.size !== size) throw noSuchUpload(id);
  const staged = { folder: uploads.folder, name: id, ...node };
  const stored = await giveVaultName(files.share, staged, sha256, `the upload ${id}`);
  if (!stored) await files.remove(id);
  return { stored };
}

/** Stores a source of unknown digest: staged, compared with what the server has, then moved into the vault. */
export async function storeContent(
  share: Share,
  source: AsyncIterable<Uint8Array>,
  options: StoreContentOptions,
): Promise<StoreContentResult> {
  const entered = await share.enter();
  return withStaged(share, entered, 'the content', source, options, async (staged) => {
    const { sha256, size } = staged;
    return { sha256, size, stored: await giveVaultName(share, staged, sha256, `the content ${sha256}`) };
  });
}

/** Removes a content; false when it was not there. */
export async function removeContent(share: Share, sha256: string): Promise<boolean> {
  requireContentName(sha256);
  const entered = await share.enter();
  if ((await find(entered, sha256)) === null) return false;
  const folder = await share.openReserved(entered, VAULT_FOLDER, vaultFolderOf(sha256));
  try {
    await entered.fs.remove(folder, sha256, 'file');
  } catch (error) {
    if (!isFailure(error, nfsStatus.NOENT)) throw nfsError(error, `Removing the content ${sha256}`);
  }
  if ((await find(entered, sha256)) === null) return true;
  const text = `The server says that the content ${sha256} is removed, but it is still there. Try again.`;
  throw new HoldfastError('backend_unavailable', text);
}

/** One page of the vault. */
export async function listContents(
  share: Share,
  options: { after?: string; limit: number },
): Promise<ContentPage> {
  const { fs, reserved } = await share.enter();
  /** Of the folder that was read last. */
  let contents = new Map<string, NfsAttributes>();
  const read = async (...names: string[]): Promise<Map<string, NfsAttributes>> => {
    const nodes = await fs.walk(reserved, names);
    const folder = nodes[names.length - 1];
    if (folder?.attributes.type !== 'directory') return new Map();
    const entries = await readWholeFolder(fs, folder.handle);
    return new Map(entries.map(({ name, attributes }) => [name.toString(), attributes]));
  };
  try {
    return await readVaultPage(
      {
        folders: async () => [...(await read(VAULT_FOLDER)).keys()],
        names: async (folder) => {
          contents = await read(VAULT_FOLDER, folder);
          return [...contents.keys()];
        },
        look: async (sha256) => {
          const attributes = contents.get(sha256);
          return attributes?.type === 'file' ? contentOf(sha256, attributes) : null;
        },
      },
      options,
    );
  } catch (error) {
    throw nfsError(error, `Listing the vault of ${share.label}`, 'read');
  }
}
