import { setTimeout as pause } from 'node:timers/promises';
import type { HubClient } from '@holdfast/client/client';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Operation } from '@holdfast/contract/operations';
import type { z } from 'zod';
import type { CommandContext } from '../context.ts';
import { Progress } from '../output/progress.ts';

const FIRST_LOOK_MS = 100;
const LATER_LOOKS_MS = 2000;

/** An operation that has been started, and how people are told of it. */
export interface FollowedOperation<Report> {
  started: Pick<Operation, 'operation_id'>;
  /** Before the bytes of the progress. */
  label: string;
  /** What ended, in an error. */
  subject: string;
  /** Of what its details are in the end. */
  schema: z.ZodType<Report>;
}

/**
 * Waits for the end of an operation, with progress; resolves to its report. Interrupting it leaves the operation to the hub.
 * @throws HoldfastError `internal` when it ended without a report
 */
export async function operationReport<Report>(
  { output, signal }: CommandContext,
  client: HubClient,
  { started, label, subject, schema }: FollowedOperation<Report>,
): Promise<Report> {
  using progress = new Progress(output);
  const params = { id: started.operation_id };
  const begun = performance.now();
  for (let wait = FIRST_LOOK_MS; ; wait = Math.min(wait * 1.5, LATER_LOOKS_MS)) {
    const { bytes, details, error, state } = await client.call('getOperation', { params, signal });
    if (state !== 'running') {
      // What was found is in the report, also when the operation counts as failed for it.
      const parsed = schema.safeParse(details);
      if (parsed.success) return parsed.data;
      const reason = error?.message ?? 'no reason is known.';
      throw new HoldfastError('internal', `${subject} ended early: ${reason}`);
    }
    const bytesPerSecond = (bytes * 1000) / (performance.now() - begun);
    progress.update({ label, bytes, totalBytes: null, bytesPerSecond, etaSeconds: null });
    await pause(wait, undefined, { signal });
  }
}
