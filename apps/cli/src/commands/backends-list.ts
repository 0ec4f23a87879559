import type { Backend } from '@holdfast/contract/backends';
import type { CommandContext } from '../context.ts';
import { humanBytes } from '../output/format.ts';
import type { Column } from '../output/table.ts';

const columns: Column<Backend>[] = [
  { title: 'Name', text: ({ name }) => name, canShrink: true },
  { title: 'Type', text: ({ type }) => type },
  { title: 'State', text: ({ status }) => status },
  {
    title: 'Used',
    align: 'right',
    text: ({ stats }) => (stats.used_bytes === null ? '-' : humanBytes(stats.used_bytes)),
    plain: ({ stats }) => String(stats.used_bytes ?? '-'),
  },
  {
    title: 'Of',
    align: 'right',
    text: ({ stats }) => (stats.total_bytes === null ? '-' : humanBytes(stats.total_bytes)),
    plain: ({ stats }) => String(stats.total_bytes ?? '-'),
  },
  { title: 'Files', align: 'right', text: ({ stats }) => String(stats.file_count ?? '-') },
  { title: 'Backend', text: ({ id }) => id },
  { title: 'Remark', text: ({ status_message }) => status_message ?? '-', canShrink: true },
];

/** Lists the backends. */
export async function run({ hub, output, signal }: CommandContext): Promise<void> {
  const client = await hub();
  const { data: backends } = await client.call('listBackends', { signal });
  output.result('backendsList', { backends }, () => {
    output.table(
      columns,
      backends,
      'No backend within reach of this key. "holdfast backends add" makes one.',
    );
  });
}
