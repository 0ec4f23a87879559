import type { ApiKey } from '@holdfast/contract/keys';
import type { CommandContext } from '../context.ts';
import { localTime } from '../output/format.ts';
import type { Column } from '../output/table.ts';

const columns: Column<ApiKey>[] = [
  { title: 'Name', text: ({ name }) => name, canShrink: true },
  { title: 'Ends in', text: ({ hint }) => hint },
  { title: 'Scopes', text: ({ scopes }) => scopes.join(' '), canShrink: true },
  { title: 'Limited to', text: limits, canShrink: true },
  {
    title: 'Last used',
    text: ({ last_used_at }) => localTime(last_used_at),
    plain: ({ last_used_at }) => last_used_at ?? '-',
  },
  {
    title: 'Expires',
    text: ({ expires_at }) => localTime(expires_at),
    plain: ({ expires_at }) => expires_at ?? '-',
  },
  { title: 'State', text: ({ revoked_at }) => (revoked_at === null ? 'good' : 'revoked') },
  { title: 'Key', text: ({ id }) => id },
];

/** Lists the API keys. */
export async function run({ hub, options, output, signal }: CommandContext): Promise<void> {
  const client = await hub();
  const { data } = await client.call('listKeys', { signal });
  const keys = options.flag('all') ? data : data.filter(({ revoked_at }) => revoked_at === null);
  output.result('keysList', { keys }, () => {
    output.table(columns, keys, 'No key is good. "holdfast keys create NAME --scope files:read" issues one.');
  });
}

function limits({ backend_id, path_prefix, hostname }: ApiKey): string {
  const parts = [backend_id, path_prefix, hostname].filter((one) => one !== null);
  return parts.length === 0 ? '-' : parts.join(' ');
}
