import { backendPatch } from '@holdfast/contract/backends';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { printable } from '../output/format.ts';
import { givenConfig, isConfigGiven } from './backend-config.ts';
import { checked } from './field-values.ts';
import { backendNamed } from './named-backend.ts';

/** Changes the name or single fields of the configuration. */
export async function run(context: CommandContext): Promise<void> {
  const { args, options, output, signal } = context;
  const name = options.text('name');
  const isConfig = isConfigGiven(context);
  if (name === undefined && !isConfig) {
    throw new UsageError('Change what? Give --name, --set, --config or --secret.');
  }
  const client = await context.hub();
  const { id, type } = await backendNamed(client, args[0] ?? '', signal);
  const patch = {
    ...(name === undefined ? {} : { name }),
    ...(isConfig ? { config: await givenConfig(context, type) } : {}),
  };
  const body = checked(backendPatch, patch, 'The backend');
  const backend = await client.call('updateBackend', { params: { id }, body, signal });
  output.result('backendsEdit', { backend }, () => {
    output.note(`changed ${printable(backend.name)}, which is ${backend.status}`);
  });
}
