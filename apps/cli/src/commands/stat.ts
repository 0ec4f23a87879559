import type { CliOutput } from '@holdfast/contract/cli-output';
import type { CommandContext } from '../context.ts';
import { humanBytes, localTime, printable } from '../output/format.ts';
import { expanded } from '../paths/expand.ts';
import { locationText } from '../paths/location.ts';
import { Remote } from '../paths/remote.ts';
import type { RemoteEntry } from '../paths/remote.ts';
import { UsageError } from '../exit-codes.ts';

type Stat = CliOutput<'stat'>['files'][number];

/** Shows all that is known of files. */
export async function run({ args, hub, output }: CommandContext): Promise<void> {
  const remote = new Remote(await hub());
  const entries: RemoteEntry[] = [];
  for (const text of args) entries.push(...(await expanded(remote, text)));
  output.result('stat', { files: entries.map(described) }, () => {
    for (const entry of entries) output.fields(fieldsOf(entry));
  });
}

function described({ location, file, backendId, host, hostFile }: RemoteEntry): Stat {
  const path = locationText(location);
  if (hostFile !== undefined) return { kind: 'host_file', path, file: hostFile };
  if (host !== undefined) return { kind: 'host', path, host };
  if (file !== undefined && backendId !== undefined)
    return { kind: 'backend', path, backend_id: backendId, file };
  throw new UsageError(`There is nothing to tell of ${path} but what it holds: see "holdfast ls ${path}".`);
}

function fieldsOf({
  location,
  type,
  size,
  modifiedAt,
  sha256,
  hostFile,
  file,
}: RemoteEntry): [string, string][] {
  return [
    ['path', printable(locationText(location))],
    ['type', type],
    ['size', size === null ? '-' : `${size} (${humanBytes(size)})`],
    ['modified', localTime(modifiedAt)],
    ['sha256', sha256 ?? '-'],
    ...(file === undefined ? [] : ([['media type', file.mime_type ?? '-']] satisfies [string, string][])),
    ...(hostFile === undefined
      ? []
      : ([
          ['version', String(hostFile.version)],
          ['mode', hostFile.mode === null ? '-' : hostFile.mode.toString(8).padStart(4, '0')],
          ['sent', localTime(hostFile.created_at)],
          ['sent by', hostFile.uploaded_by ?? '-'],
        ] satisfies [string, string][])),
  ];
}
