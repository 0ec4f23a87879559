import { collectionReport, vaultVerifyReport, vaultVerifyRequest } from '@holdfast/contract/host-files';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { counted, humanBytes, printable } from '../output/format.ts';
import { locationText } from '../paths/location.ts';
import { runAction } from './actions.ts';
import { checked } from './field-values.ts';
import { hostPlace } from './host-file-versions.ts';
import { operationReport } from './operation-report.ts';

/** What the hub keeps once, by its SHA-256. */
export async function run(context: CommandContext): Promise<void> {
  const actions = {
    stats: { run: stats },
    collect: { run: collect, options: ['dryRun'] },
    verify: { run: verify, arguments: ['[path]'], options: ['rate', 'sha256'] },
  };
  await runAction(context, 'vault', actions, 'stats');
}

async function stats({ hub, output, signal }: CommandContext): Promise<void> {
  const vault = await (await hub()).call('getVault', { signal });
  output.result('vaultStats', vault, () => {
    const size = (bytes: number): string => (output.terminal.isOutputTty ? humanBytes(bytes) : String(bytes));
    output.fields([
      ['contents', String(vault.contents)],
      ['bytes', size(vault.bytes)],
      ['host files', String(vault.host_files)],
      ['their bytes', size(vault.host_file_bytes)],
      ['unreferenced contents', String(vault.unreferenced_contents)],
      ['unreferenced bytes', size(vault.unreferenced_bytes)],
    ]);
    if (vault.contents === 0)
      output.note('The vault is empty. "holdfast put FILE" stores the first content.');
  });
}

async function collect(context: CommandContext): Promise<void> {
  const { endWith, hub, options, output, signal } = context;
  const isDryRun = options.flag('dryRun');
  const client = await hub();
  if (!isDryRun) {
    await confirm(
      context,
      'Remove deleted files whose retention has passed, and contents that nothing refers to?',
    );
  }
  const started = await client.call('collectVault', { body: { dry_run: isDryRun }, signal });
  const label = 'the collection';
  context.onInterrupt('holdfast operations');
  const report = await operationReport(context, client, {
    ...{ started, label, subject: label },
    schema: collectionReport,
  });
  output.result('vaultCollect', { operation_id: started.operation_id, ...report }, () => {
    const { orphan_bytes, orphans, purged_files, removed_bytes, removed_contents } = report;
    output.note(
      `${isDryRun ? 'would remove' : 'removed'} ${counted(removed_contents, 'content')} of ${humanBytes(removed_bytes)}, ` +
        `${counted(orphans, 'orphan')} of ${humanBytes(orphan_bytes)}, ${counted(purged_files, 'deleted file')}`,
    );
  });
  if (report.failed.length === 0) return;
  endWith(exitCodes.failure);
  if (output.mode !== 'json')
    for (const { sha256, detail } of report.failed) output.warn(`${sha256}: ${detail}`);
}

async function verify(context: CommandContext, args: readonly string[]): Promise<void> {
  const { endWith, hub, options, output, signal } = context;
  const sums = options.texts('sha256');
  const rate = options.integer('rate', 1, 100_000);
  const place = args[0] === undefined ? undefined : hostPlace(args[0]);
  const given = {
    ...(sums.length === 0 ? {} : { sha256: sums.map((sum) => sum.toLowerCase()) }),
    ...(place === undefined ? {} : { hostname: place.host }),
    ...(place === undefined || place.path === '' ? {} : { path_prefix: place.path }),
    ...(rate === undefined ? {} : { rate_limit_mbps: rate }),
  };
  const body = checked(vaultVerifyRequest, given, 'The verification');
  const client = await hub();
  const started = await client.call('verifyVault', { body, signal });
  const label = 'the verification';
  context.onInterrupt('holdfast operations');
  const report = await operationReport(context, client, {
    ...{ started, label, subject: label },
    schema: vaultVerifyReport,
  });
  const { bytes, checked: checkedCount, damaged, damaged_count, failed, failed_count } = report;
  output.result('vaultVerify', { operation_id: started.operation_id, ...report }, () => {
    for (const { sha256, problem, host_files } of damaged) {
      const files = host_files.map(({ hostname, filepath }) =>
        printable(locationText({ kind: 'hub', host: hostname, path: filepath })),
      );
      output.line([sha256, problem, ...files].join('\t'));
    }
    for (const { sha256, detail } of failed) output.line(`${sha256}\tfailed\t${printable(detail)}`);
    output.note(
      `verified ${counted(checkedCount, 'content')}, ${humanBytes(bytes)}: ` +
        (damaged_count + failed_count === 0
          ? 'all as they were stored'
          : `${damaged_count} damaged, ${failed_count} could not be read. Send the damaged files again to mend them.`),
    );
  });
  if (damaged_count + failed_count > 0) endWith(exitCodes.integrity);
}
