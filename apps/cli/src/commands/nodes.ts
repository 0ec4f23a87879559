import { nodePatch, nodeState } from '@holdfast/contract/nodes';
import type { Node } from '@holdfast/contract/nodes';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { localTime, printable } from '../output/format.ts';
import type { Column } from '../output/table.ts';
import { runAction } from './actions.ts';
import { checked } from './field-values.ts';
import { nodeNamed, workflowNamed } from './named-node.ts';

const columns: Column<Node>[] = [
  { title: 'MAC', text: ({ mac }) => mac },
  { title: 'Name', text: ({ name }) => name ?? '-', canShrink: true },
  { title: 'State', text: ({ state }) => state },
  { title: 'Workflow', text: ({ workflow_id }) => workflow_id ?? '-', canShrink: true },
  { title: 'Address', text: ({ last_ip }) => last_ip ?? '-' },
  {
    title: 'Last seen',
    text: ({ last_seen_at }) => localTime(last_seen_at),
    plain: ({ last_seen_at }) => last_seen_at ?? '-',
  },
  { title: 'Node', text: ({ id }) => id },
];

/** The machines that boot. */
export async function run(context: CommandContext): Promise<void> {
  const actions = {
    list: { run: list, options: ['state'] },
    show: { run: show, arguments: ['<node>'] },
    edit: { run: edit, arguments: ['<node>'], options: ['name', 'state', 'workflow', 'arch'] },
    rm: { run: remove, arguments: ['<node>'] },
  };
  await runAction(context, 'nodes', actions, 'list');
}

async function list({ hub, options, output, signal }: CommandContext): Promise<void> {
  const text = options.text('state');
  const state = text === undefined ? {} : { state: checked(nodeState, text, '--state') };
  const client = await hub();
  const nodes: Node[] = [];
  const query = { limit: 1000, ...state };
  for await (const node of client.all('listNodes', { query, signal })) nodes.push(node);
  output.result('nodesList', { nodes }, () => {
    output.table(columns, nodes, 'No machine has booted from this hub yet. docs/netboot.md says how.');
  });
}

async function show({ hub, output, signal }: CommandContext, args: readonly string[]): Promise<void> {
  const node = await nodeNamed(await hub(), args[0] ?? '', signal);
  output.result('nodesShow', { node }, () => {
    output.fields(Object.entries(node).map(([name, value]) => [name, printable(value ?? '-')]));
  });
}

async function edit(
  { hub, options, output, signal }: CommandContext,
  args: readonly string[],
): Promise<void> {
  const texts = (['name', 'state', 'arch'] as const)
    .map((name) => [name, options.text(name)] as const)
    .filter(([, text]) => text !== undefined);
  const workflow = options.text('workflow');
  if (texts.length === 0 && workflow === undefined)
    throw new UsageError('Change what? Give --name, --state, --workflow or --arch.');
  const client = await hub();
  const { id } = await nodeNamed(client, args[0] ?? '', signal);
  const patch: Record<string, unknown> = {};
  for (const [name, text] of texts) patch[name] = text === 'null' ? null : text;
  if (workflow !== undefined) {
    patch['workflow_id'] = workflow === 'null' ? null : (await workflowNamed(client, workflow, signal)).id;
  }
  const body = checked(nodePatch, patch, 'The node');
  const node = await client.call('updateNode', { params: { id }, body, signal });
  output.result('nodesEdit', { node }, () => {
    output.note(`changed ${node.mac}, which is ${node.state}`);
  });
}

async function remove(context: CommandContext, args: readonly string[]): Promise<void> {
  const { hub, output, signal } = context;
  const client = await hub();
  const { id, mac, name } = await nodeNamed(client, args[0] ?? '', signal);
  const shown = name === null ? mac : `${printable(name)} (${mac})`;
  await confirm(context, `Forget the node ${shown}? It comes back as a new one when it boots again.`);
  await client.call('deleteNode', { params: { id }, signal });
  output.result('nodesRm', { id, mac }, () => output.note(`forgot ${shown}`));
}
