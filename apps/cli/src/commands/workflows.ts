import { workflowCreate, workflowPatch } from '@holdfast/contract/workflows';
import type { Workflow } from '@holdfast/contract/workflows';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import type { Options } from '../options.ts';
import { printable } from '../output/format.ts';
import type { Column } from '../output/table.ts';
import { runAction } from './actions.ts';
import { checked } from './field-values.ts';
import { workflowNamed } from './named-node.ts';

/** The options by the fields that they set. */
const fieldOptions = {
  name: 'name',
  method: 'install_method',
  kernel: 'kernel_path',
  initrd: 'initrd_path',
  cmdline: 'cmdline',
  bootUrl: 'boot_url',
  architecture: 'architecture',
  bootMode: 'boot_mode',
} as const;
const optionNames = Object.keys(fieldOptions);

const columns: Column<Workflow>[] = [
  { title: 'Name', text: ({ name }) => name, canShrink: true },
  { title: 'Method', text: ({ install_method }) => install_method },
  { title: 'For', text: ({ architecture, boot_mode }) => `${architecture} ${boot_mode}` },
  { title: 'Boots', text: ({ boot_url, kernel_path }) => kernel_path ?? boot_url ?? '-', canShrink: true },
  { title: 'Workflow', text: ({ id }) => id },
];

/** What machines can boot. */
export async function run(context: CommandContext): Promise<void> {
  const actions = {
    list: { run: list },
    show: { run: show, arguments: ['<workflow>'] },
    create: {
      run: create,
      arguments: ['<name>'],
      options: optionNames.filter((name) => name !== 'name'),
    },
    edit: { run: edit, arguments: ['<workflow>'], options: optionNames },
    rm: { run: remove, arguments: ['<workflow>'], options: ['force'] },
  };
  await runAction(context, 'workflows', actions, 'list');
}

async function list({ hub, output, signal }: CommandContext): Promise<void> {
  const { data: workflows } = await (await hub()).call('listWorkflows', { signal });
  output.result('workflowsList', { workflows }, () => {
    const empty =
      'There are none. "holdfast workflows create NAME --method kernel --kernel /PATH" makes one.';
    output.table(columns, workflows, empty);
  });
}

async function show({ hub, output, signal }: CommandContext, args: readonly string[]): Promise<void> {
  const workflow = await workflowNamed(await hub(), args[0] ?? '', signal);
  output.result('workflowsShow', { workflow }, () => {
    output.fields(Object.entries(workflow).map(([name, value]) => [name, printable(value ?? '-')]));
  });
}

async function create(
  { hub, options, output, signal }: CommandContext,
  args: readonly string[],
): Promise<void> {
  const body = checked(
    workflowCreate,
    { install_method: 'kernel', ...given(options), name: args[0] },
    'The workflow',
  );
  const workflow = await (await hub()).call('createWorkflow', { body, signal });
  output.result('workflowsCreate', { workflow }, () => {
    output.line(workflow.id);
    output.note(
      `"holdfast nodes edit NODE --workflow ${printable(workflow.name)} --state pending" lets a machine boot it.`,
    );
  });
}

async function edit(
  { hub, options, output, signal }: CommandContext,
  args: readonly string[],
): Promise<void> {
  const patch = given(options);
  if (Object.keys(patch).length === 0)
    throw new UsageError('Change what? "holdfast workflows --help" lists the options.');
  const client = await hub();
  const { id } = await workflowNamed(client, args[0] ?? '', signal);
  const body = checked(workflowPatch, patch, 'The workflow');
  const workflow = await client.call('updateWorkflow', { params: { id }, body, signal });
  output.result('workflowsEdit', { workflow }, () => output.note(`changed ${printable(workflow.name)}`));
}

async function remove(context: CommandContext, args: readonly string[]): Promise<void> {
  const { hub, options, output, signal } = context;
  const client = await hub();
  const { id, name } = await workflowNamed(client, args[0] ?? '', signal);
  await confirm(context, `Remove the workflow ${printable(name)}?`);
  await client.call('deleteWorkflow', { params: { id }, query: { force: options.flag('force') }, signal });
  output.result('workflowsRm', { id, name }, () => output.note(`removed ${printable(name)}`));
}

function given(options: Options): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [option, field] of Object.entries(fieldOptions)) {
    const text = options.text(option);
    if (text !== undefined) fields[field] = text === 'null' ? null : text;
  }
  return fields;
}
