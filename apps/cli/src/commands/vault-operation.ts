import { setTimeout as pause } from 'node:timers/promises';
import type { HubClient } from '@holdfast/client/client';
import { HoldfastError } from '@holdfast/contract/errors';
import type { z } from 'zod';
import type { CommandContext } from '../context.ts';
import { Progress } from '../output/progress.ts';

const FIRST_LOOK_MS = 100;
const LATER_LOOKS_MS = 2000;

/**
 * Waits for the end of an operation of the vault; resolves to its report. Interrupting it leaves the operation to the hub.
 * @throws HoldfastError `internal` when it ended without a report
 */
export async function vaultReport<Report>(
  { onInterrupt, output, signal }: CommandContext,
  client: HubClient,
  id: string,
  label: string,
  schema: z.ZodType<Report>,
): Promise<Report> {
  using progress = new Progress(output);
  onInterrupt('holdfast operations');
  const begun = performance.now();
  for (let wait = FIRST_LOOK_MS; ; wait = Math.min(wait * 1.5, LATER_LOOKS_MS)) {
    const { bytes, details, error, state } = await client.call('getOperation', { params: { id }, signal });
    if (state !== 'running') {
      // What was found is in the report, also when the operation counts as failed for it.
      const parsed = schema.safeParse(details);
      if (parsed.success) return parsed.data;
      throw new HoldfastError('internal', `${label} ended early: ${error?.message ?? 'no reason is known.'}`);
    }
    const bytesPerSecond = (bytes * 1000) / (performance.now() - begun);
    progress.update({ label, bytes, totalBytes: null, bytesPerSecond, etaSeconds: null });
    await pause(wait, undefined, { signal });
  }
}
