import { HoldfastError } from '@holdfast/contract/errors';
import { z } from 'zod';
import type { JsonObject } from '@holdfast/contract/json';
import { MAX_OBJECT_BYTES, MAX_PARTS, PART_BYTES } from '../part-plan.ts';
import type { StagedUploadKey } from '../../contents.ts';

/** Bytes of all parts but the last one at least (Amazon S3 User Guide, "Multipart upload limits"). */
const LEAST_PART_BYTES = 5 * 1024 ** 2;

const stagedState = z.discriminatedUnion('mode', [
  /** One chunk is the whole: one PutObject. Any hub takes it. */
  z.object({ mode: z.literal('single') }),
  /** Each chunk is a part. Any hub takes any chunk. */
  z.object({ mode: z.literal('parts'), upload_id: z.string().min(1) }),
  /** Pieces of any length are gathered in the spool of one hub. */
  z.object({
    mode: z.literal('spooled'),
    hub_id: z.string(),
    /** Absent where one part is enough. */
    upload_id: z.string().min(1).optional(),
    /** The size that the parts were planned for; null when it was not known. */
    planned_size: z.number().int().nonnegative().nullable(),
  }),
]);

/** What `create` answers: how an upload is taken, and what is needed to go on with it. */
export type StagedState = z.output<typeof stagedState>;

/** @throws HoldfastError `internal` for a state that none of our versions made */
export function parseState(state: JsonObject): StagedState {
  const parsed = stagedState.safeParse(state);
  if (parsed.success) return parsed.data;
  throw new HoldfastError('internal', 'The state of the upload is not one of an S3 backend. Begin it anew.');
}

/** What an upload is made of. */
export type UploadShape =
  | { mode: 'single' }
  | { mode: 'parts' }
  | { mode: 'spooled'; isMultipart: boolean; plannedSize: number | null };

/**
 * How an upload is taken: chunks that S3 takes as parts go there as they are, all others are gathered first.
 * @param maximum bytes of a chunk that the spool has room for
 * @throws HoldfastError `too_large` beyond the largest object of S3
 */
export function shapeOf(
  { size, chunkSize }: Pick<StagedUploadKey, 'size' | 'chunkSize'>,
  maximum: number,
): UploadShape {
  if (size !== null && size > MAX_OBJECT_BYTES) {
    throw new HoldfastError('too_large', 'S3 takes files of up to 5 TiB.');
  }
  if (size === null || chunkSize === null || Math.min(size, chunkSize) > maximum) {
    return { mode: 'spooled', isMultipart: size === null || size > PART_BYTES, plannedSize: size };
  }
  if (size <= chunkSize) return { mode: 'single' };
  if (chunkSize >= LEAST_PART_BYTES && size / chunkSize <= MAX_PARTS) return { mode: 'parts' };
  return { mode: 'spooled', isMultipart: size > PART_BYTES, plannedSize: size };
}
