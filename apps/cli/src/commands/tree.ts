import type { CommandContext } from '../context.ts';
import { counted, printable } from '../output/format.ts';
import { remoteLocation } from '../paths/expand.ts';
import { lastSegment, locationText } from '../paths/location.ts';
import { Remote } from '../paths/remote.ts';
import type { RemoteEntry } from '../paths/remote.ts';
import { listedJson } from './ls.ts';

interface Walk {
  remote: Remote;
  depth: number;
  lines: string[];
  entries: RemoteEntry[];
}

/** Shows a folder and all below it. */
export async function run({ args: [text = ''], hub, options, output }: CommandContext): Promise<void> {
  const depth = options.integer('depth', 1, 1000) ?? 1000;
  const remote = new Remote(await hub());
  const root = await remote.stat(remoteLocation(text));
  const walk: Walk = { remote, depth, lines: [], entries: [] };
  if (root.type !== 'file') await descend(walk, root, '', 1);
  const files = walk.entries.filter(({ type }) => type === 'file').length;
  const folders = walk.entries.length - files;
  const path = locationText(root.location);
  output.result('tree', { root: path, folders, files, entries: walk.entries.map(listedJson) }, () => {
    output.line(printable(path));
    for (const line of walk.lines) output.line(line);
    output.note(`${counted(folders, 'folder')}, ${counted(files, 'file')}`);
  });
}

async function descend(walk: Walk, folder: RemoteEntry, indent: string, level: number): Promise<void> {
  const children: RemoteEntry[] = [];
  for await (const child of walk.remote.list(folder.location, false)) children.push(child);
  for (const [index, child] of children.entries()) {
    const isLast = index === children.length - 1;
    const { location, type } = child;
    const name = type === 'host' && location.kind === 'hub' ? location.host : lastSegment(location.path);
    walk.entries.push(child);
    walk.lines.push(`${indent}${isLast ? '└── ' : '├── '}${printable(name)}${type === 'file' ? '' : '/'}`);
    if (type === 'file' || level >= walk.depth) continue;
    await descend(walk, child, `${indent}${isLast ? '    ' : '│   '}`, level + 1);
  }
}
