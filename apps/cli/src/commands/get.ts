import { mkdir, stat } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { downloadFile } from '@holdfast/client/node/download-file';
import type { HubClient } from '@holdfast/client/client';
import { HoldfastError } from '@holdfast/contract/errors';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { Progress } from '../output/progress.ts';
import { expanded } from '../paths/expand.ts';
import { lastSegment, locationText, parseLocation } from '../paths/location.ts';
import { downloadOf, Remote } from '../paths/remote.ts';
import type { RemoteEntry } from '../paths/remote.ts';
import { TransferReport } from '../transfer/report.ts';

interface Item {
  entry: RemoteEntry;
  target: string;
}

/** Fetches files from the hub. */
export async function run(context: CommandContext): Promise<void> {
  const { args, options, commandLine } = context;
  const isLocalLast = args.length > 1 && parseLocation(args.at(-1) ?? '').kind === 'local';
  const sources = isLocalLast ? args.slice(0, -1) : args;
  if (args.at(-1) === '-') throw new UsageError('Use "holdfast cat" to write files to standard output.');
  const into = isLocalLast ? (args.at(-1) ?? '.') : '.';
  const client = await context.hub();
  const remote = new Remote(client);
  const entries: RemoteEntry[] = [];
  for (const text of sources) entries.push(...(await expanded(remote, text)));
  const isFolder = entries.length > 1 || into.endsWith('/') || (await isDirectory(into));
  const isDryRun = options.flag('dryRun');
  const report = new TransferReport(context, isDryRun);
  context.onInterrupt(commandLine);
  for (const entry of entries) {
    for await (const item of itemsOf(remote, entry, into, isFolder, options.flag('recursive'))) {
      const names = { source: locationText(item.entry.location), destination: item.target };
      const isOneOfMany = entries.length > 1 || entry.type !== 'file';
      if (isDryRun) {
        report.add({
          ...names,
          bytes: item.entry.size,
          sha256: item.entry.sha256,
          status: 'planned',
          verified: false,
        });
        continue;
      }
      try {
        const result = await fetchFile(context, client, item);
        report.add({
          ...names,
          bytes: result.bytes,
          sha256: result.sha256,
          status: 'fetched',
          verified: result.verified,
        });
      } catch (error) {
        if (!isOneOfMany || context.signal.aborted) throw error;
        report.fail(names.source, names.destination, error);
      }
    }
  }
  report.tell('get', 'fetched');
}

async function* itemsOf(
  remote: Remote,
  entry: RemoteEntry,
  into: string,
  isFolder: boolean,
  isRecursive: boolean,
): AsyncGenerator<Item> {
  const { location } = entry;
  const name = location.kind === 'hub' && location.path === '' ? location.host : lastSegment(location.path);
  const base = isFolder ? join(into, name) : into;
  if (entry.type === 'file') {
    yield { entry, target: below(into, base) };
    return;
  }
  if (!isRecursive) downloadOf(entry);
  const start = location.path.replace(/\/+$/, '').length;
  for await (const child of remote.list(location, true)) {
    if (child.type !== 'file') continue;
    yield {
      entry: child,
      target: below(base, join(base, ...localSegments(child.location.path.slice(start)))),
    };
  }
}

/** The segments of a path of any machine, as names that are safe here: a machine's own `..` does not lead out of the folder. */
function localSegments(path: string): string[] {
  const parts = path.startsWith('/') || !path.includes('\\') ? path.split('/') : path.split(/[/\\]/);
  return parts.filter((part) => part !== '' && part !== '.').map((part) => (part === '..' ? '__' : part));
}

/** @throws HoldfastError `invalid_path` when a name would lead out of the folder */
function below(folder: string, target: string): string {
  const root = resolve(folder);
  const path = resolve(target);
  if (path === root || path.startsWith(root.endsWith(sep) ? root : root + sep)) return path;
  throw new HoldfastError('invalid_path', `${target} would be outside of ${folder}; it is not fetched.`);
}

async function fetchFile(context: CommandContext, client: HubClient, { entry, target }: Item) {
  const { hostFile } = entry;
  await mkdir(dirname(target), { recursive: true });
  using progress = new Progress(context.output);
  return await downloadFile(client, downloadOf(entry), target, {
    signal: context.signal,
    overwrite: context.options.flag('overwrite'),
    onProgress: ({ phase, ...state }) => {
      progress.update({
        label: lastSegment(entry.location.path),
        ...state,
        ...(phase === 'receiving' ? {} : { phase }),
      });
    },
    ...(typeof hostFile?.mode === 'number' ? { mode: hostFile.mode } : {}),
    ...(entry.modifiedAt === null ? {} : { mtime: new Date(entry.modifiedAt) }),
  });
}

async function isDirectory(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined);
  return stats?.isDirectory() === true;
}
