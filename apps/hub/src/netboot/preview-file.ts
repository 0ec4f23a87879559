import { parseBackendPath } from '@holdfast/bytes/backend-path';
import type { BootFile } from '@holdfast/boot/preview';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { NodePreview } from '@holdfast/contract/nodes';
import type { Library } from '../library/library.ts';

/** A file of a workflow as it is on the boot backend now: there, of which size, and with the bytes it was stored with. */
export async function previewFile(
  library: Library,
  backendId: string | null,
  { role, path }: BootFile,
): Promise<NodePreview['files'][number]> {
  const missing = { role, path, exists: false, size: null, checksum_sha256: null, verified: null };
  if (backendId === null) return { ...missing, problem: 'No boot backend is set.' };
  try {
    const checked = await library.recheck(backendId, parseBackendPath(path));
    const { size, sha256, verified } = checked;
    const problem =
      verified === false ? 'The bytes are no longer those that were stored: upload the file again.' : null;
    return { role, path, exists: true, size, checksum_sha256: sha256, verified, problem };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    const problem =
      error.code === 'file_not_found' ? `${path} is not on the boot backend: upload it.` : error.message;
    return { ...missing, problem };
  }
}
