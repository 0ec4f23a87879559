import { chunkCount } from '@holdfast/bytes/chunk-plan';
import type { ChunkPlan } from '@holdfast/bytes/chunk-plan';
import { HoldfastError } from '@holdfast/contract/errors';
import type { UploadLimits } from '@holdfast/contract/uploads';

/**
 * The chunks of an upload by the hub's advice: of the preferred size, or larger when there would be too many. Sizes in bytes.
 * @throws HoldfastError `too_large` when the hub does not take a file of this size
 */
export function planChunks(
  size: number,
  limits: Pick<
    UploadLimits,
    'preferred_chunk_size' | 'min_chunk_size' | 'max_chunk_size' | 'max_chunks' | 'max_file_size'
  >,
): ChunkPlan {
  const least = Math.ceil(size / Math.max(1, limits.max_chunks));
  const chunkSize = Math.max(1, limits.preferred_chunk_size, limits.min_chunk_size, least);
  const plan = { size, chunkSize: Math.min(chunkSize, Math.max(1, limits.max_chunk_size)) };
  if (size > limits.max_file_size || chunkCount(plan) > limits.max_chunks) {
    throw new HoldfastError(
      'too_large',
      `A file of ${size} bytes is too large for the hub, which takes at most ${limits.max_file_size} bytes in ${limits.max_chunks} ` +
        'chunks. Split it, or choose another backend.',
    );
  }
  return plan;
}
