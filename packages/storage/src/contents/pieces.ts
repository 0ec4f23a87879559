import { HoldfastError } from '@holdfast/contract/errors';
import type { ReceivedPiece, StagedUploadKey } from '../contents.ts';

/**
 * Checks that pieces are all of an upload, in order and without gaps.
 * @param size bytes of the whole
 * @throws HoldfastError `chunks_missing`; `validation_failed` for another size than the upload was begun with
 */
export function requireWhole(
  upload: StagedUploadKey,
  size: number,
  pieces: readonly Pick<ReceivedPiece, 'position' | 'bytes'>[],
): void {
  if (upload.size !== null && upload.size !== size) {
    const text = `The upload ${upload.id} was begun with ${upload.size} bytes and cannot end with ${size}.`;
    throw new HoldfastError('validation_failed', text);
  }
  let end = 0;
  for (const { position, bytes } of pieces) {
    if (position !== end) break;
    end += bytes;
  }
  if (end === size) return;
  const text = `Of the upload ${upload.id} only the first ${end} of ${size} bytes were received. Send the rest.`;
  throw new HoldfastError('chunks_missing', text);
}
