import { requireContentName, vaultFolderOf } from '../../contents/content-names.ts';
import type { Bucket } from '../bucket.ts';

/** The key of a content. @throws HoldfastError `validation_failed` for what is no SHA-256 in lower-case hex */
export function contentKey(bucket: Bucket, sha256: string): string {
  requireContentName(sha256);
  return `${bucket.keys.vault}${vaultFolderOf(sha256)}/${sha256}`;
}
