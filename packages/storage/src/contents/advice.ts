import { MAX_CHUNKS, MAX_FILE_BYTES } from '@holdfast/contract/uploads';
import type { ChunkAdvice } from '../contents.ts';

const MIB = 1024 * 1024;

/**
 * For storages where a chunk goes to its place in one file, whatever its size. 8 MiB are worth their sync, and little is
 * sent twice when a connection breaks.
 */
export const fileAdvice: ChunkAdvice = {
  minimum: 1,
  preferred: 8 * MIB,
  maximum: MAX_FILE_BYTES,
  maxChunks: MAX_CHUNKS,
};
