import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { uploadSmallFiles } from '@holdfast/client/batch';
import type { SmallFile } from '@holdfast/client/batch';
import { uploadStream } from '@holdfast/client/node/upload-stream';
import { MAX_BATCH_FILE_BYTES } from '@holdfast/contract/uploads';
import { HoldfastError, isErrorCode } from '@holdfast/contract/errors';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { Progress } from '../output/progress.ts';
import { joinedPath, locationText, parseLocation } from '../paths/location.ts';
import type { RemoteLocation } from '../paths/location.ts';
import { Remote } from '../paths/remote.ts';
import { localFiles } from '../transfer/local-files.ts';
import type { LocalFile } from '../transfer/local-files.ts';
import { TransferReport } from '../transfer/report.ts';
import { sendFile, uploadDestination, wholeFile } from '../transfer/send-file.ts';
import type { Sending } from '../transfer/send-file.ts';

interface Item {
  file: LocalFile;
  to: RemoteLocation;
}

/** Sends files to the hub. */
export async function run(context: CommandContext): Promise<void> {
  const { options, output, commandLine } = context;
  const { sources, to } = destinationOf(context);
  const isDryRun = options.flag('dryRun');
  const report = new TransferReport(context, isDryRun);
  const client = await context.hub();
  const sending: Sending = {
    context,
    client,
    remote: new Remote(client),
    overwrite: options.flag('overwrite'),
  };
  if (!sources.includes('-')) context.onInterrupt(commandLine);

  const small: Item[] = [];
  for (const source of sources) {
    if (source === '-') {
      await sendInput(sending, to, report, isDryRun);
      continue;
    }
    const isFolder = sources.length > 1;
    for await (const file of localFiles(source, options.flag('recursive'), skipped)) {
      const item = { file, to: placeOf(file, source, to, isFolder, context) };
      const names = { source: file.path, destination: locationText(item.to) };
      if (isDryRun)
        report.add({ ...names, bytes: file.size, sha256: null, status: 'planned', verified: false });
      else if (item.to.kind === 'hub' && file.size <= MAX_BATCH_FILE_BYTES) small.push(item);
      else await attempt(sending, item, report, isFolder || options.flag('recursive'));
    }
  }
  if (small.length > 0) await sendBatches(sending, small, report);
  report.tell('put', 'sent');

  function skipped(path: string): void {
    output.warn(`${path} is not sent: it is neither a file nor a folder.`);
  }
}

/** The last argument is the destination when it names a place on the hub's side. */
function destinationOf({ args, options }: CommandContext): {
  sources: readonly string[];
  to: RemoteLocation | null;
} {
  const last = parseLocation(args.at(-1) ?? '');
  if (options.flag('toHub') || (last.kind !== 'backend' && last.kind !== 'hub'))
    return { sources: args, to: null };
  if (args.length === 1)
    throw new UsageError(`There is nothing to send: ${args[0] ?? ''} is the destination.`);
  return { sources: args.slice(0, -1), to: last };
}

function placeOf(
  file: LocalFile,
  source: string,
  to: RemoteLocation | null,
  isFolder: boolean,
  { options, env }: CommandContext,
): RemoteLocation {
  if (to === null) return { kind: 'hub', host: ownHost(options.text('host'), env), path: file.path };
  const isNamed = file.path === resolve(source);
  if (to.kind === 'hub' && to.host === '') {
    return { ...to, host: ownHost(options.text('host'), env), path: file.path };
  }
  if (isNamed && !isFolder && to.path !== '' && !to.path.endsWith('/')) return to;
  return { ...to, path: joinedPath(to.path, file.relative) };
}

function ownHost(given: string | undefined, env: CommandContext['env']): string {
  return given ?? env['HOLDFAST_HOSTNAME'] ?? hostname();
}

async function attempt(
  sending: Sending,
  { file, to }: Item,
  report: TransferReport,
  isOneOfMany: boolean,
): Promise<void> {
  try {
    report.add(await sendFile(sending, file, to));
  } catch (error) {
    if (!isOneOfMany || sending.context.signal.aborted) throw error;
    report.fail(file.path, locationText(to), error);
  }
}

async function sendInput(
  { client, context, remote, overwrite }: Sending,
  to: RemoteLocation | null,
  report: TransferReport,
  isDryRun: boolean,
): Promise<void> {
  if (to === null || to.path === '' || to.path.endsWith('/')) {
    throw new UsageError('Standard input has no name: give a destination that names the file.');
  }
  if (isDryRun) throw new UsageError('--dry-run cannot look at standard input.');
  using progress = new Progress(context.output);
  const { terminal } = context.output;
  const sent = await uploadStream(client, terminal.stdin, {
    to: await uploadDestination(remote, to, overwrite),
    stateDir: context.stateDir,
    signal: context.signal,
    onProgress: (state) => progress.update({ label: 'standard input', ...state }),
  });
  report.add({
    source: '-',
    destination: locationText(to),
    bytes: sent.file_size,
    sha256: sent.sha256,
    status: sent.deduplicated ? 'deduplicated' : 'stored',
    verified: true,
  });
}

async function sendBatches(
  { client, context }: Sending,
  items: readonly Item[],
  report: TransferReport,
): Promise<void> {
  using progress = new Progress(context.output);
  const totalBytes = items.reduce((sum, { file }) => sum + file.size, 0);
  const started = performance.now();
  let bytes = 0;
  let done = 0;
  for await (const result of uploadSmallFiles(client, smallFiles(items), { signal: context.signal })) {
    const item = items[done];
    if (item === undefined) break;
    const { file, to } = item;
    done += 1;
    bytes += file.size;
    const rate = (bytes * 1000) / Math.max(1, performance.now() - started);
    const eta = rate === 0 ? null : (totalBytes - bytes) / rate;
    progress.update({
      label: `${done} of ${items.length} files`,
      bytes,
      totalBytes,
      bytesPerSecond: rate,
      etaSeconds: eta,
    });
    const names = { source: file.path, destination: locationText(to) };
    if (result.status !== 'refused') {
      report.add({
        ...names,
        bytes: file.size,
        sha256: result.sha256,
        status: result.status,
        verified: true,
      });
    } else {
      const code = result.code !== undefined && isErrorCode(result.code) ? result.code : 'internal';
      progress.clear();
      report.fail(
        names.source,
        names.destination,
        new HoldfastError(code, result.detail ?? 'The hub refused it.'),
      );
    }
  }
}

async function* smallFiles(items: readonly Item[]): AsyncGenerator<SmallFile> {
  for (const { file, to } of items) {
    if (to.kind !== 'hub') continue;
    const { size, mode, mtime } = file;
    yield {
      hostname: to.host,
      filepath: to.path,
      size,
      mode,
      mtime: mtime.toISOString(),
      read: () => wholeFile(file),
    };
  }
}
