import type { Host } from '@holdfast/contract/host-files';
import type { CommandContext } from '../context.ts';
import { humanBytes, localTime } from '../output/format.ts';

/** Lists the machines that have sent files. */
export async function run({ hub, output, signal }: CommandContext): Promise<void> {
  const client = await hub();
  const hosts: Host[] = [];
  for await (const host of client.all('listHosts', { query: { limit: 1000 }, signal })) hosts.push(host);
  output.result('hosts', { hosts }, () => {
    output.table(
      [
        { title: 'Machine', text: ({ hostname }) => hostname, canShrink: true },
        { title: 'Files', align: 'right', text: ({ files }) => String(files) },
        {
          title: 'Size',
          align: 'right',
          text: ({ bytes }) => humanBytes(bytes),
          plain: ({ bytes }) => String(bytes),
        },
        { title: 'Deleted', align: 'right', text: ({ deleted_files }) => String(deleted_files) },
        {
          title: 'Last seen',
          text: ({ last_seen_at }) => localTime(last_seen_at),
          plain: ({ last_seen_at }) => last_seen_at,
        },
      ],
      hosts,
      'No machine has sent a file. On one of them: holdfast put FILE',
    );
  });
}
