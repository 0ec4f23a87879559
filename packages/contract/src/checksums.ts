import { z } from 'zod';
import { defineEndpoint } from './endpoint.ts';
import { success } from './envelope.ts';
import { byteCount, count, id } from './fields.ts';
import { operation } from './operations.ts';

export const backfillRequest = z
  .strictObject({
    backend_id: id.optional().describe('Default: every backend.'),
    batch_size: z.int().min(1).max(1000).default(100).describe('Files between two notes of the progress.'),
    dry_run: z.boolean().default(false).describe('Only count what is missing.'),
    rate_limit_mbps: z
      .number()
      .positive()
      .max(100_000)
      .optional()
      .describe('Megabits a second read at most.'),
  })
  .meta({ id: 'BackfillRequest' });

/** The `details` of a `sync` operation that was started by `backfillChecksums`. */
export const backfillReport = z
  .object({
    dry_run: z.boolean(),
    files_seen: count,
    files_missing: count.describe('Files that had no valid checksum record.'),
    files_hashed: count,
    bytes_hashed: byteCount,
    files_failed: count,
    backend_id: z.string().nullable().describe('The backend that is being walked.'),
    last_path: z.string().nullable().describe('Up to here all is done; a restart goes on from it.'),
  })
  .meta({ id: 'BackfillReport' });
export type BackfillReport = z.output<typeof backfillReport>;

export const checksumEndpoints = {
  backfillChecksums: defineEndpoint({
    method: 'POST',
    path: '/api/v1/checksums/backfill',
    access: 'files:write',
    tag: 'Checksums',
    summary: 'Compute the checksums that are missing',
    description:
      'Answers at once with the operation; its `details` become a BackfillReport. It is resumed after a restart.',
    body: backfillRequest,
    response: success(operation),
    status: [202],
    errors: ['backend_not_found', 'backend_unavailable', 'conflict'],
  }),
};
