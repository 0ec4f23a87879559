import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { printable } from '../output/format.ts';
import { backendNamed } from './named-backend.ts';

/** Makes the hub forget a backend; its files stay. */
export async function run(context: CommandContext): Promise<void> {
  const { args, hub, options, output, signal } = context;
  const client = await hub();
  const { id, name, type } = await backendNamed(client, args[0] ?? '', signal);
  await confirm(context, `Forget the backend ${printable(name)} (${type})? Its files stay where they are.`);
  await client.call('deleteBackend', { params: { id }, query: { force: options.flag('force') }, signal });
  output.result('backendsRm', { id, name }, () =>
    output.note(`forgot ${printable(name)}; its files are where they were`),
  );
}
