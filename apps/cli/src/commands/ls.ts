import type { CommandContext } from '../context.ts';
import { humanBytes, localTime, printable } from '../output/format.ts';
import type { Column } from '../output/table.ts';
import { expanded, hasWildcard } from '../paths/expand.ts';
import { locationText } from '../paths/location.ts';
import { Remote } from '../paths/remote.ts';
import type { RemoteEntry } from '../paths/remote.ts';

const longColumns: Column<RemoteEntry>[] = [
  {
    title: 'Size',
    align: 'right',
    text: ({ size }) => (size === null ? '-' : humanBytes(size)),
    plain: ({ size }) => (size === null ? '-' : String(size)),
  },
  {
    title: 'Modified',
    text: ({ modifiedAt }) => localTime(modifiedAt),
    plain: ({ modifiedAt }) => modifiedAt ?? '-',
  },
  {
    title: 'SHA-256',
    text: ({ sha256 }) => sha256?.slice(0, 12) ?? '-',
    plain: ({ sha256 }) => sha256 ?? '-',
  },
  { title: 'Path', text: shown },
];

/** Lists files and folders. */
export async function run({ args, hub, options, output }: CommandContext): Promise<void> {
  const remote = new Remote(await hub());
  const entries: RemoteEntry[] = [];
  for (const text of args) entries.push(...(await listed(remote, text, options.flag('recursive'))));
  if (args.length === 0) entries.push(...(await roots(remote)));
  output.result('ls', { entries: entries.map(listedJson) }, () => {
    if (options.flag('long')) output.table(longColumns, entries, 'Nothing is there.');
    else for (const entry of entries) output.line(printable(shown(entry)));
  });
}

async function listed(remote: Remote, text: string, isRecursive: boolean): Promise<RemoteEntry[]> {
  const found = await expanded(remote, text);
  const [only] = found;
  const isContents = isRecursive || !hasWildcard(text);
  if (!isContents || only === undefined) return found;
  const all: RemoteEntry[] = [];
  for (const entry of found) {
    if (entry.type === 'file') all.push(entry);
    else for await (const child of remote.list(entry.location, isRecursive)) all.push(child);
  }
  return all;
}

async function roots(remote: Remote): Promise<RemoteEntry[]> {
  const backends = await remote.backends();
  const none = { size: null, modifiedAt: null, sha256: null };
  return [
    ...backends.map(({ name, id }): RemoteEntry => ({
      location: { kind: 'backend', backend: name, path: '/' },
      type: 'backend',
      backendId: id,
      ...none,
    })),
    { location: { kind: 'hub', host: '', path: '' }, type: 'directory', ...none },
  ];
}

function shown(entry: RemoteEntry): string {
  const text = locationText(entry.location);
  return entry.type === 'file' || text.endsWith('/') ? text : `${text}/`;
}

/** An entry as `--json` of ls and tree shows it. */
export function listedJson({ location, type, size, modifiedAt, sha256 }: RemoteEntry) {
  return { path: locationText(location), type, size, modified_at: modifiedAt, sha256 };
}
