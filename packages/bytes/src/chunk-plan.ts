/** A file cut into chunks of one size; only the last one may be shorter. Sizes in bytes. */
export interface ChunkPlan {
  /** Of the whole file. */
  size: number;
  /** Of each chunk but the last; at least 1. */
  chunkSize: number;
}

/** Where a chunk lies in its file, in bytes. */
export interface ChunkPlace {
  position: number;
  length: number;
}

/** How many chunks a file has: ⌈size ÷ chunkSize⌉; none for a file of no bytes. */
export function chunkCount({ size, chunkSize }: ChunkPlan): number {
  return Math.ceil(size / chunkSize);
}

/** Where chunk `num` lies, counted from 0; undefined when the file has no such chunk. */
export function chunkPlace(plan: ChunkPlan, num: number): ChunkPlace | undefined {
  if (!Number.isInteger(num) || num < 0 || num >= chunkCount(plan)) return undefined;
  const position = num * plan.chunkSize;
  return { position, length: Math.min(plan.chunkSize, plan.size - position) };
}
