import {
  contentPath,
  requireContentName,
  VAULT_FOLDER,
  vaultFolderOf,
} from '../../contents/content-names.ts';
import type { StorageEntry } from '../../backend.ts';
import { RESERVED } from '../address.ts';
import type { Segments } from '../address.ts';
import { lookUpAt } from '../lookup.ts';
import type { Site } from '../site.ts';

export const VAULT: Segments = [...RESERVED, VAULT_FOLDER];

/** Where a content is on the server. @throws HoldfastError `validation_failed` for what is no SHA-256 */
export function contentPlace(sha256: string): Segments {
  requireContentName(sha256);
  return [...VAULT, vaultFolderOf(sha256), sha256];
}

/** The file of a content, or null. */
export async function findContent(
  site: Site,
  sha256: string,
  signal?: AbortSignal,
): Promise<StorageEntry | null> {
  const entry = await lookUpAt(site, contentPlace(sha256), contentPath(sha256), signal);
  return entry?.type === 'file' ? entry : null;
}
