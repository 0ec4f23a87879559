import { chunkPlace } from '@holdfast/bytes/chunk-plan';
import type { ChunkPlan } from '@holdfast/bytes/chunk-plan';
import { sha256Of } from './digest.ts';
import { cancelledBy } from './retry.ts';
import { readSlice } from './upload-source.ts';
import type { UploadSource } from './upload-source.ts';

/** The SHA-256 of chunks by their numbers, lower-case hex. */
export type ChunkSums = Map<number, string>;

/** Computes the sums of chunks that are not known, as the file has them now. */
export async function addChunkSums(
  sums: ChunkSums,
  nums: Iterable<number>,
  { source, plan, signal }: { source: UploadSource; plan: ChunkPlan; signal: AbortSignal },
): Promise<void> {
  for (const num of nums) {
    if (signal.aborted) throw cancelledBy(signal);
    const place = chunkPlace(plan, num);
    if (place === undefined || sums.has(num)) continue;
    const { position } = place;
    const end = position + place.length;
    const sum =
      (await source.sha256Of?.(position, end, signal)) ??
      (await sha256Of(await readSlice(source, position, end))).hex;
    sums.set(num, sum);
  }
}
