import type { Transfer } from '@holdfast/contract/transfers';
import type { CommandContext } from '../context.ts';
import { humanBytes, humanSeconds } from '../output/format.ts';
import type { Column } from '../output/table.ts';
import { runAction } from './actions.ts';
import { forEach } from './each.ts';
import { followEvents } from './follow-events.ts';

const columns: Column<Transfer>[] = [
  { title: 'Machine', text: ({ client }) => client },
  { title: 'By', text: ({ protocol }) => protocol },
  {
    title: 'Sent',
    align: 'right',
    text: ({ bytes }) => humanBytes(bytes),
    plain: ({ bytes }) => String(bytes),
  },
  {
    title: 'Of',
    align: 'right',
    text: ({ size }) => (size === null ? '-' : humanBytes(size)),
    plain: ({ size }) => String(size ?? '-'),
  },
  {
    title: 'A second',
    align: 'right',
    text: ({ rate }) => humanBytes(rate),
    plain: ({ rate }) => String(Math.round(rate)),
  },
  {
    title: 'Left',
    align: 'right',
    text: ({ eta_seconds: eta }) => (eta === null ? '-' : humanSeconds(eta)),
    plain: ({ eta_seconds: eta }) => String(eta ?? '-'),
  },
  { title: 'File', text: ({ path }) => path, canShrink: true },
  { title: 'Transfer', text: ({ id }) => id },
];

/** What leaves the hub now. */
export async function run(context: CommandContext): Promise<void> {
  const actions = {
    list: { run: list, options: ['follow'] },
    end: { run: end, arguments: ['<id...>'] },
  };
  await runAction(context, 'transfers', actions, 'list');
}

async function list(context: CommandContext): Promise<void> {
  const { hub, options, output, signal } = context;
  if (options.flag('follow')) {
    const types = ['transfer.started', 'transfer.progress', 'transfer.finished'] as const;
    await followEvents(context, 'transfersFollow', types);
    return;
  }
  const { data: transfers } = await (await hub()).call('listTransfers', { signal });
  output.result('transfersList', { transfers }, () => {
    output.table(
      columns,
      transfers,
      'Nothing leaves the hub now. "holdfast transfers --follow" waits for it.',
    );
  });
}

async function end(context: CommandContext, ids: readonly string[]): Promise<void> {
  const { hub, output, signal } = context;
  const client = await hub();
  const { done, failed } = await forEach(
    context,
    ids,
    (id) => id,
    async (id) => {
      await client.call('endTransfer', { params: { id }, signal });
    },
  );
  output.result('transfersEnd', { ended: done, failed }, () => {
    for (const id of done) output.note(`ended ${id}; its machine may ask again`);
  });
}
