import type { HubClient } from '@holdfast/client/client';
import type { CliOutput } from '@holdfast/contract/cli-output';
import { verifyReport } from '@holdfast/contract/files';
import { vaultVerifyReport } from '@holdfast/contract/host-files';
import type { CommandContext } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { counted, humanBytes, printable } from '../output/format.ts';
import { remoteLocation } from '../paths/expand.ts';
import { locationText } from '../paths/location.ts';
import { Remote } from '../paths/remote.ts';
import type { RemoteEntry } from '../paths/remote.ts';
import { operationReport } from './operation-report.ts';

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
  const report = await operationReport(context, client, {
    ...{ started, label: path, subject: `The verification of ${path}` },
    schema: verifyReport,
  });
  const name = (at: string): string => locationText({ ...location, path: at });
  return {
    path,
    operation_id: started.operation_id,
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
  const report = await operationReport(context, client, {
    ...{ started, label: path, subject: `The verification of ${path}` },
    schema: vaultVerifyReport,
  });
  return {
    path,
    operation_id: started.operation_id,
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
