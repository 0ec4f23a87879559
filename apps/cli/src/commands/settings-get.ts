import { settingsPatch } from '@holdfast/contract/settings';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';

/** Shows all settings, or one. */
export async function run({ args, hub, output, signal }: CommandContext): Promise<void> {
  const [name] = args;
  const names = Object.keys(settingsPatch.shape);
  if (name !== undefined && !names.includes(name)) {
    throw new UsageError(`There is no setting "${name}". There are: ${names.join(', ')}.`);
  }
  const client = await hub();
  const all: Readonly<Record<string, unknown>> = await client.call('getSettings', { signal });
  const shown = Object.fromEntries(
    Object.entries(all).filter(([one]) => (name === undefined ? names.includes(one) : one === name)),
  );
  output.result('settingsGet', shown, () => {
    if (name !== undefined) output.line(settingText(shown[name]));
    else output.fields(Object.entries(shown).map(([one, value]) => [one, settingText(value)]));
  });
}

/** A value as `settings set` takes it back. */
export function settingText(value: unknown): string {
  return Array.isArray(value) ? value.join(',') : String(value);
}
