import { setTimeout as pause } from 'node:timers/promises';
import type { HubClient } from '@holdfast/client/client';
import type { CliOutput } from '@holdfast/contract/cli-output';
import { HoldfastError } from '@holdfast/contract/errors';
import { verifyReport } from '@holdfast/contract/files';
import { vaultVerifyReport } from '@holdfast/contract/host-files';
import type { Operation } from '@holdfast/contract/operations';
import type { z } from 'zod';
import type { CommandContext } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { counted, humanBytes, printable } from '../output/format.ts';
import { Progress } from '../output/progress.ts';
import { remoteLocation } from '../paths/expand.ts';
import { locationText } from '../paths/location.ts';
import { Remote } from '../paths/remote.ts';
import type { RemoteEntry } from '../paths/remote.ts';

const FIRST_LOOK_MS = 100;
const LATER_LOOKS_MS = 2000;

/** Starts a verification on the hub, follows it, lists what has drifted. */
export async function run(context: CommandContext): Promise<void> {
  const { args, output } = context;
  const location = remoteLocation(args[0] ?? '');
  const client = await context.hub();
  const remote = new Remote(client);
  const value =
    location.kind === 'hub'
      ? await verifiedVault(context, client, await remote.stat(location))
      : await verifiedBackend(
          context,
          client,
          await remote.stat(location),
          await remote.backendId(location.backend),
        );
  output.result('verify', value, () => {
    for (const { path: at, problem, expected, actual } of value.drifted) {
      output.line(`${printable(at)}\t${problem}\t${expected ?? '-'}\t${actual ?? '-'}`);
    }
    for (const { path: at, detail } of value.failed) output.line(`${printable(at)}\tfailed\t${detail}`);
    output.note(`verified ${counted(value.checked, 'file')}, ${humanBytes(value.bytes)}: ${ending(value)}`);
  });
  if (value.drifted_count + value.failed_count > 0) context.endWith(exitCodes.integrity);
}

async function verifiedBackend(
  context: CommandContext,
  client: HubClient,
  { location, type }: RemoteEntry,
  id: string,
): Promise<CliOutput<'verify'>> {
  const body = { path: location.path, recursive: type !== 'file' };
  const started = await client.call('verifyFiles', { params: { id }, body });
  const path = locationText(location);
  const { report, operation_id } = await followed(context, client, started, path, verifyReport);
  const name = (at: string): string => locationText({ ...location, path: at });
  return {
    path,
    operation_id,
    checked: report.files_checked,
    bytes: report.bytes_checked,
    drifted: report.drifted.map(({ path: at, expected_sha256, actual_sha256 }) => ({
      path: name(at),
      expected: expected_sha256,
      actual: actual_sha256,
      problem: 'mismatch',
    })),
    drifted_count: report.drifted_count,
    failed: report.failed.map((one) => ({ ...one, path: name(one.path) })),
    failed_count: report.failed_count,
  };
}

async function verifiedVault(
  context: CommandContext,
  client: HubClient,
  { location, sha256, type }: RemoteEntry,
): Promise<CliOutput<'verify'>> {
  const { host, path: folder } = location.kind === 'hub' ? location : { host: '', path: '' };
  const inFolder = folder === '' ? {} : { path_prefix: folder.endsWith('/') ? folder : `${folder}/` };
  const reach = { ...(host === '' ? {} : { hostname: host }), ...inFolder };
  const body = type === 'file' && sha256 !== null ? { sha256: [sha256] } : reach;
  const started = await client.call('verifyVault', { body });
  const path = locationText(location);
  const { report, operation_id } = await followed(context, client, started, path, vaultVerifyReport);
  return {
    path,
    operation_id,
    checked: report.checked,
    bytes: report.bytes,
    drifted: report.damaged.flatMap(({ sha256: expected, problem, host_files: files }) =>
      files.map(({ hostname, filepath }) => ({
        path: locationText({ kind: 'hub' as const, host: hostname, path: filepath }),
        expected,
        actual: null,
        problem,
      })),
    ),
    drifted_count: report.damaged_count,
    failed: report.failed.map(({ sha256: content, ...why }) => ({ ...why, path: content })),
    failed_count: report.failed_count,
  };
}

function ending({ drifted_count, failed_count }: CliOutput<'verify'>): string {
  if (drifted_count + failed_count === 0) return 'all as they were stored';
  return `${drifted_count} drifted, ${failed_count} could not be read`;
}

async function followed<Report>(
  { output, signal }: CommandContext,
  client: HubClient,
  started: Operation,
  label: string,
  schema: z.ZodType<Report>,
): Promise<{ operation_id: string; report: Report }> {
  using progress = new Progress(output);
  const begun = performance.now();
  let operation = started;
  let wait = FIRST_LOOK_MS;
  while (operation.state === 'running') {
    await pause(wait, undefined, { signal });
    wait = Math.min(wait * 1.5, LATER_LOOKS_MS);
    operation = await client.call('getOperation', { params: { id: started.operation_id } });
    const bytesPerSecond = (operation.bytes * 1000) / (performance.now() - begun);
    progress.update({ label, bytes: operation.bytes, totalBytes: null, bytesPerSecond, etaSeconds: null });
  }
  const { error } = operation;
  // Drift is told by the report; without one the verification itself has failed.
  const parsed = schema.safeParse(operation.details);
  if (parsed.success) return { operation_id: operation.operation_id, report: parsed.data };
  throw new HoldfastError(
    'internal',
    `The verification of ${label} ended early: ${error?.message ?? 'no reason is known'}.`,
  );
}
