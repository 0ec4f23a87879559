import type { HostFile } from '@holdfast/contract/host-files';
import type { CommandContext } from '../context.ts';
import { humanBytes, localTime } from '../output/format.ts';
import type { Column } from '../output/table.ts';
import { hostPlace, versionsOf } from './host-file-versions.ts';

const columns: Column<HostFile>[] = [
  { title: 'Version', align: 'right', text: ({ version }) => String(version) },
  {
    title: 'Arrived',
    text: ({ created_at }) => localTime(created_at),
    plain: ({ created_at }) => created_at,
  },
  {
    title: 'Size',
    align: 'right',
    text: ({ file_size }) => humanBytes(file_size),
    plain: ({ file_size }) => String(file_size),
  },
  { title: 'State', text: ({ status, is_current }) => (is_current ? status : 'older') },
  {
    title: 'SHA-256',
    text: ({ sha256 }) => sha256.slice(0, 12),
    plain: ({ sha256 }) => sha256,
  },
  { title: 'File ID', text: ({ file_id }) => file_id },
  { title: 'Key', text: ({ uploaded_by }) => uploaded_by ?? '-', canShrink: true },
];

/** Lists the versions of a host file. */
export async function run({ args, hub, output, signal }: CommandContext): Promise<void> {
  const place = hostPlace(args[0] ?? '');
  const versions = await versionsOf(await hub(), place, signal);
  output.result('history', { versions }, () => output.table(columns, versions));
}
