import type { HubClient } from '@holdfast/client/client';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { exitCodeOf } from '../exit-codes.ts';
import { counted, printable } from '../output/format.ts';
import { expanded } from '../paths/expand.ts';
import { locationText } from '../paths/location.ts';
import { Remote } from '../paths/remote.ts';
import type { RemoteEntry } from '../paths/remote.ts';

/** Removes files and folders. */
export async function run(context: CommandContext): Promise<void> {
  const { args, options, output } = context;
  const client = await context.hub();
  const remote = new Remote(client);
  const entries = await toRemove(remote, args, options.flag('recursive'));
  const names = entries.map(({ location }) => locationText(location));
  const isDryRun = options.flag('dryRun');
  if (!isDryRun && names.length > 0) await confirm(context, `Remove ${summary(entries)}?`);
  const removed: string[] = [];
  const failed: { path: string; code: string; detail: string }[] = [];
  for (const entry of entries) {
    const path = locationText(entry.location);
    try {
      if (!isDryRun) await remove(client, entry);
      removed.push(path);
    } catch (error) {
      if (entries.length === 1 || !isHoldfastError(error)) throw error;
      if (failed.length === 0) context.endWith(exitCodeOf(error));
      failed.push({ path, code: error.code, detail: error.message });
      if (output.mode !== 'json') output.warn(`${printable(path)}: ${error.message}`);
    }
  }
  output.result('rm', { dry_run: isDryRun, removed, failed }, () => {
    for (const path of removed) output.note(`${isDryRun ? 'would remove' : 'removed'} ${printable(path)}`);
  });
}

async function toRemove(
  remote: Remote,
  args: readonly string[],
  isRecursive: boolean,
): Promise<RemoteEntry[]> {
  const entries: RemoteEntry[] = [];
  for (const text of args) {
    for (const entry of await expanded(remote, text)) {
      if (entry.type !== 'file' && !isRecursive) {
        throw new HoldfastError(
          'is_a_directory',
          `${text} is a folder. Give -r to remove it with all that it holds.`,
        );
      }
      if (entry.location.kind === 'hub' && entry.type !== 'file') {
        for await (const file of remote.list(entry.location, true)) entries.push(file);
      } else entries.push(entry);
    }
  }
  return entries;
}

function summary(entries: readonly RemoteEntry[]): string {
  const names = entries.slice(0, 3).map(({ location, type }) => {
    return `${printable(locationText(location))}${type === 'file' ? '' : ' with all that it holds'}`;
  });
  return entries.length <= 3
    ? names.join(', ')
    : `${counted(entries.length, 'file')}: ${names.join(', ')} and others`;
}

async function remove(
  client: HubClient,
  { backendId, location, type, hostFile }: RemoteEntry,
): Promise<void> {
  if (hostFile !== undefined) {
    const { sha256, hostname, filepath } = hostFile;
    await client.call('deleteHostFile', { params: { sha256 }, body: { hostname, filepath } });
  } else if (backendId !== undefined) {
    const query = { path: location.path, recursive: type !== 'file' };
    await client.call('deleteFile', { params: { id: backendId }, query });
  }
}
