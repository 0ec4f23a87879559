import { settingsPatch } from '@holdfast/contract/settings';
import type { z } from 'zod';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { Remote } from '../paths/remote.ts';
import { assignments, checked, fieldValue } from './field-values.ts';
import { settingText } from './settings-get.ts';

const fields: Readonly<Record<string, z.ZodType>> = settingsPatch.shape;

/** Changes settings; all of them or none. */
export async function run({ args, hub, output, signal }: CommandContext): Promise<void> {
  const given = assignments(args);
  const client = await hub();
  const values: Record<string, unknown> = {};
  for (const [name, text] of given) {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (field === undefined) {
      throw new UsageError(`There is no setting "${name}". There are: ${Object.keys(fields).join(', ')}.`);
    }
    const value = fieldValue(field, text);
    values[name] =
      name.endsWith('_backend_id') && typeof value === 'string'
        ? await new Remote(client).backendId(value)
        : value;
  }
  const body = checked(settingsPatch, values, 'The settings');
  const settings = await client.call('updateSettings', { body, signal });
  output.result('settingsSet', settings, () => {
    const all: Readonly<Record<string, unknown>> = settings;
    output.fields(Object.keys(values).map((name) => [name, settingText(all[name])]));
  });
}
