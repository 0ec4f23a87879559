import { backendCreate } from '@holdfast/contract/backends';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { printable } from '../output/format.ts';
import { givenConfig, isConfigGiven } from './backend-config.ts';
import { askConfig, askNameAndType } from './backend-questions.ts';
import { checked } from './field-values.ts';

/** Adds a backend; asks for what is not given. */
export async function run(context: CommandContext): Promise<void> {
  const { args, options, output, signal } = context;
  const { name, type } = await askNameAndType(context, args[0], args[1]);
  const isFormatted = options.flag('format');
  if (isFormatted && type !== 'iscsi') throw new UsageError('--format goes with type iscsi only.');
  const isAsked = !isConfigGiven(context);
  if (isAsked && !output.terminal.canAsk) {
    throw new UsageError('Give the configuration by --set or --config: there is no terminal to ask on.');
  }
  const client = await context.hub();
  const config = isAsked ? await askConfig(context, type) : await givenConfig(context, type);
  const body = checked(
    backendCreate,
    { name, type, config, ...(isFormatted ? { format: true } : {}) },
    'The backend',
  );
  const backend = await client.call('createBackend', { body, signal });
  output.result('backendsAdd', { backend }, () => {
    output.line(
      `${printable(backend.name)} (${backend.type}) is ${backend.status}; its identifier is ${backend.id}.`,
    );
    output.note(`"holdfast put FILE ${printable(backend.name)}:/" stores a file there.`);
  });
}
