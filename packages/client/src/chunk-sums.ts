import { chunkCount, chunkPlace } from '@holdfast/bytes/chunk-plan';
import type { ChunkPlan } from '@holdfast/bytes/chunk-plan';
import { sha256Of } from './digest.ts';
import { cancelledBy } from './retry.ts';
import { readSlice } from './upload-source.ts';
import type { UploadSource } from './upload-source.ts';

/** The SHA-256 of every chunk as the file has it now, for the hub to compare with what it received. */
export async function chunkSums(
  source: UploadSource,
  plan: ChunkPlan,
  signal: AbortSignal,
): Promise<{ chunk_num: number; etag: string }[]> {
  const sums = [];
  for (let num = 0; num < chunkCount(plan); num += 1) {
    if (signal.aborted) throw cancelledBy(signal);
    const { position, length } = chunkPlace(plan, num) ?? { position: 0, length: 0 };
    const { hex } = await sha256Of(await readSlice(source, position, position + length));
    sums.push({ chunk_num: num, etag: hex });
  }
  return sums;
}
