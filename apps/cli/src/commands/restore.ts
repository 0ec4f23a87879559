import type { HubClient } from '@holdfast/client/client';
import { HoldfastError } from '@holdfast/contract/errors';
import type { HostFile } from '@holdfast/contract/host-files';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { printable } from '../output/format.ts';
import { locationText } from '../paths/location.ts';
import { forEach } from './each.ts';
import { hostPlace, versionsOf } from './host-file-versions.ts';

/** What to restore, and how a person names it. */
interface Wanted {
  fileId: string;
  path: string;
  version: number | null;
}

/** Brings deleted host files or an older version back. */
export async function run(context: CommandContext): Promise<void> {
  const { options, output, signal } = context;
  const isDryRun = options.flag('dryRun');
  const client = await context.hub();
  const wanted = await toRestore(context, client);
  const files: HostFile[] = [];
  const { done, failed } = await forEach(
    context,
    wanted,
    ({ path }) => path,
    async ({ fileId }) => {
      if (isDryRun) return;
      files.push(await client.call('restoreHostFile', { params: { file_id: fileId }, signal }));
    },
  );
  const restored = wanted.filter(({ path }) => done.includes(path));
  output.result(
    'restore',
    {
      dry_run: isDryRun,
      restored: restored.map(({ fileId, ...rest }) => ({ file_id: fileId, ...rest })),
      files,
      failed,
    },
    () => {
      const verb = isDryRun ? 'would restore' : 'restored';
      for (const { path, version } of restored) {
        output.note(`${verb} ${printable(path)}${version === null ? '' : ` (version ${version})`}`);
      }
      if (wanted.length === 0) output.note('Nothing is deleted there that could be restored.');
    },
  );
}

async function toRestore({ args, options, signal }: CommandContext, client: HubClient): Promise<Wanted[]> {
  const fileId = options.text('fileId');
  const version = options.integer('version', 1, Number.MAX_SAFE_INTEGER);
  const isRecursive = options.flag('recursive');
  if (fileId !== undefined) {
    if (args.length > 0 || version !== undefined || isRecursive)
      throw new UsageError('--file-id names one version by itself: give no path and no --version with it.');
    return [{ fileId, path: fileId, version: null }];
  }
  if (args.length === 0) throw new UsageError('Restore what? Give hub:/HOST/path or --file-id.');
  if (version !== undefined && (args.length > 1 || isRecursive))
    throw new UsageError('--version goes with one path.');
  const wanted: Wanted[] = [];
  for (const text of args) {
    const place = hostPlace(text);
    if (isRecursive) {
      const inside = place.path === '' || /[/\\]$/.test(place.path) ? place.path : `${place.path}/`;
      const query = {
        hostname: place.host,
        status: 'deleted' as const,
        limit: 1000,
        ...(inside === '' ? {} : { path_prefix: inside }),
      };
      for await (const file of client.all('listHostFiles', { query, signal })) wanted.push(wantedOf(file));
    } else {
      wanted.push(wantedOf(choice(await versionsOf(client, place, signal), version)));
    }
  }
  return wanted;
}

/** The version that is meant: the one with the number, else the newest, which must be a deleted one. */
function choice(versions: readonly HostFile[], number: number | undefined): HostFile {
  const [newest] = versions;
  const found = number === undefined ? newest : versions.find(({ version }) => version === number);
  const path = newest === undefined ? '' : pathOf(newest);
  if (found === undefined) {
    const numbers = versions.map(({ version }) => version).join(', ');
    throw new HoldfastError('host_file_not_found', `${path} has no version ${number}. It has: ${numbers}.`);
  }
  if (found.is_current && found.status === 'active') {
    throw new HoldfastError(
      'conflict',
      `Version ${found.version} of ${path} is the newest one, and not deleted. Give an older one by --version; ` +
        '"holdfast history" lists them.',
    );
  }
  return found;
}

function wantedOf(file: HostFile): Wanted {
  return { fileId: file.file_id, path: pathOf(file), version: file.version };
}

function pathOf({ hostname, filepath }: HostFile): string {
  return locationText({ kind: 'hub', host: hostname, path: filepath });
}
