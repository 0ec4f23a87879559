import { HoldfastError } from '@holdfast/contract/errors';
import { contentPath, vaultFolderOf } from '../../contents/content-names.ts';
import { StagingSlot } from '../../volume/staging-slot.ts';
import { RESERVED } from '../address.ts';
import { relocate } from '../relocation.ts';
import type { Site } from '../site.ts';
import { discardStaged, stage, stagingPlace } from '../upload.ts';
import type { StagedUpload } from '../upload.ts';
import type { UploadExpectations } from '../upload-body.ts';
import { contentPlace, findContent, VAULT } from './content-places.ts';

const attempts = 3;

/**
 * Stores a source in the vault: sent under a temporary name, read back, and moved to its place in one step.
 * @returns `stored` is false when the content was there already
 */
export async function storeInVault(
  site: Site,
  source: AsyncIterable<Uint8Array>,
  expectations: UploadExpectations,
): Promise<{ sha256: string; size: number; stored: boolean }> {
  using slot = new StagingSlot(site.ownerId);
  const staged = await stage(site, stagingPlace(slot), source, expectations, Date.now());
  const { sha256, size } = staged;
  let stored = false;
  try {
    stored = await moveIntoVault(site, staged);
  } finally {
    if (!stored) await discardStaged(site, staged.segments);
  }
  return { sha256, size, stored };
}

/** @returns false when the content is there already; the staged file stays then */
async function moveIntoVault(site: Site, staged: StagedUpload): Promise<boolean> {
  const { sha256, size, segments, validator } = staged;
  const folder = vaultFolderOf(sha256);
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const existing = await findContent(site, sha256);
    // Another size under this name is a damaged file, which is replaced.
    if (existing?.size === size) return false;
    await makeVaultFolder(site, folder);
    const outcome = await relocate(site, {
      from: segments,
      to: contentPlace(sha256),
      isFolder: false,
      overwrite: existing !== null,
      path: contentPath(sha256),
      validator,
      doing: `Publishing the content ${sha256}`,
    }).catch((error: unknown) => {
      site.vaultFolders.delete(folder);
      throw error;
    });
    if (outcome === 'moved') return true;
    // Taken by another hub; or somebody has removed the folder, for which nginx has the same words.
    site.vaultFolders.delete(folder);
  }
  const text = `The content ${sha256} is made and removed by others all the time. Try again.`;
  throw new HoldfastError('conflict', text, { retryable: true });
}

async function makeVaultFolder(site: Site, name: string): Promise<void> {
  if (site.vaultFolders.has(name)) return;
  await site.makeCollection(RESERVED);
  await site.makeCollection(VAULT);
  await site.makeCollection([...VAULT, name]);
  site.vaultFolders.add(name);
}
