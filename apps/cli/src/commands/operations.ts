import { operationListQuery } from '@holdfast/contract/operations';
import type { Operation } from '@holdfast/contract/operations';
import type { CommandContext } from '../context.ts';
import { humanBytes, humanSeconds, localTime } from '../output/format.ts';
import type { Column } from '../output/table.ts';
import { runAction } from './actions.ts';
import { checked } from './field-values.ts';

const USUAL_LINES = 50;
const PAGE = 1000;

const columns: Column<Operation>[] = [
  {
    title: 'Started',
    text: ({ started_at }) => localTime(started_at),
    plain: ({ started_at }) => started_at,
  },
  { title: 'Operation', text: ({ operation }) => operation },
  { title: 'Result', text: result },
  {
    title: 'Bytes',
    align: 'right',
    text: ({ bytes }) => humanBytes(bytes),
    plain: ({ bytes }) => String(bytes),
  },
  {
    title: 'Took',
    align: 'right',
    text: ({ duration_ms: took }) => (took === null ? '-' : humanSeconds(took / 1000)),
    plain: ({ duration_ms: took }) => String(took ?? '-'),
  },
  { title: 'Key', text: ({ actor }) => actor ?? '-', canShrink: true },
  { title: 'File', text: ({ file }) => file ?? '-', canShrink: true },
  { title: 'Error', text: ({ error }) => error?.message ?? '-', canShrink: true },
];

/** The operation log. */
export async function run(context: CommandContext): Promise<void> {
  const actions = { list: { run: list, options: ['operation', 'file', 'failed', 'since', 'limit'] } };
  await runAction(context, 'operations', actions, 'list');
}

async function list({ hub, options, output, signal }: CommandContext): Promise<void> {
  const most = options.integer('limit', 1, 1_000_000) ?? USUAL_LINES;
  const given = {
    limit: Math.min(most, PAGE),
    operation: options.text('operation'),
    file: options.text('file'),
    success: options.flag('failed') ? false : undefined,
    since: options.text('since'),
  };
  const query = checked(operationListQuery, given, 'The list');
  const client = await hub();
  const operations: Operation[] = [];
  for await (const operation of client.all('listOperations', { query, signal })) {
    operations.push(operation);
    if (operations.length === most) break;
  }
  output.result('operationsList', { operations }, () => {
    output.table(
      columns,
      operations,
      'Nothing of the kind was done. "holdfast operations" lists all there is.',
    );
    if (operations.length === most) output.note(`These are the newest ${most}; --limit shows more.`);
  });
}

function result({ state, success }: Operation): string {
  return state === 'running' ? 'running' : success === true ? 'done' : 'failed';
}
