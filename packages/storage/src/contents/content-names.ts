import { parseBackendPath } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { isSha256Hex } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';

/** The folder of the reserved area where contents are kept, each in a folder named by the first two digits. */
export const VAULT_FOLDER = 'vault';
/** The folder of the reserved area for uploads that are under way. No sweep of a backend touches it. */
export const UPLOADS_FOLDER = 'uploads';

const uploadIdPattern = /^[0-9A-Za-z-]{1,64}$/;
const vaultFolderPattern = /^[0-9a-f]{2}$/;

/** Whether a name can be the id of an upload: then it is also a safe name for a file. */
export function isUploadId(name: string): boolean {
  return uploadIdPattern.test(name);
}

/** @throws HoldfastError `validation_failed` */
export function requireUploadId(id: string): void {
  if (isUploadId(id)) return;
  const message = 'must be letters, digits and "-", at most 64';
  throw new HoldfastError('validation_failed', 'This cannot be the id of an upload.', {
    errors: [{ field: 'upload_id', message }],
  });
}

/** @throws HoldfastError `validation_failed` */
export function requireContentName(sha256: string): void {
  if (isSha256Hex(sha256)) return;
  const message = 'must be 64 hexadecimal digits in lower case';
  throw new HoldfastError('validation_failed', 'This is no SHA-256, so no content can have it as its name.', {
    errors: [{ field: 'sha256', message }],
  });
}

/** The name of the folder in the vault that a content is kept in. */
export function vaultFolderOf(sha256: string): string {
  return sha256.slice(0, 2);
}

/** Whether a name in the vault is one of its folders. */
export function isVaultFolder(name: string): boolean {
  return vaultFolderPattern.test(name);
}

/** Whether a name in a folder of the vault is a content that belongs there. */
export function isContentOf(folder: string, name: string): boolean {
  return isSha256Hex(name) && vaultFolderOf(name) === folder;
}

/** What an open content is called: its digest, as it has no path that anybody could use. */
export function contentPath(sha256: string): BackendPath {
  return parseBackendPath(`/${sha256}`);
}

export function noSuchContent(sha256: string): HoldfastError {
  return new HoldfastError('content_not_found', `There is no content with SHA-256 ${sha256} in the vault.`);
}

/** The staged bytes of an upload are gone. */
export function noSuchUpload(id: string, cause?: unknown): HoldfastError {
  const text = `The bytes of the upload ${id} are not there any more. Begin it anew.`;
  return new HoldfastError('file_not_found', text, { cause });
}
