import type { JsonObject } from '@holdfast/contract/json';
import { z } from 'zod';
import type { Slice } from '../../spool/coverage.ts';

const position = z.number().int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const spoolRecord = z.union([
  /** Bytes that were received and are durable in the spool. */
  z.object({ got: z.array(z.tuple([position, position, sha256])) }),
  /** Bytes that are about to be replaced. */
  z.object({ cut: z.tuple([position, position]) }),
  /** A part that S3 has acknowledged. */
  z.object({
    sent: z.object({ number: z.number().int().positive(), end: position, etag: z.string(), sha256 }),
  }),
]);

/** A line of the journal of a spooled upload. */
export type SpoolRecord = z.output<typeof spoolRecord>;

/** The records that make sense; what a crash cut off does not. */
export function parseRecords(lines: readonly unknown[]): SpoolRecord[] {
  return lines.flatMap((line) => {
    const parsed = spoolRecord.safeParse(line);
    return parsed.success ? [parsed.data] : [];
  });
}

export function gotRecord(slices: readonly Slice[]): JsonObject {
  return { got: slices.map(({ start, end, sha256: digest }) => [start, end, digest]) };
}
