import { text as wholeText } from 'node:stream/consumers';
import { backendConfigs } from '@holdfast/contract/backends';
import type { BackendType } from '@holdfast/contract/backends';
import { z } from 'zod';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { assignments, fieldValue } from './field-values.ts';

/** The field of a configuration that is never shown, by the type of the backend. */
export const secretFields: Readonly<Record<BackendType, string | undefined>> = {
  local: undefined,
  nfs: undefined,
  http: 'password',
  s3: 'secret_access_key',
  iscsi: 'chap_password',
};

/** The fields of a type's configuration, in the order of the contract. */
export function configFields(type: BackendType): Readonly<Record<string, z.ZodType>> {
  return backendConfigs[type].shape;
}

/** Whether the configuration is given by options, so that nothing needs to be asked. */
export function isConfigGiven({ options }: CommandContext): boolean {
  return (
    options.text('config') !== undefined ||
    options.texts('set').length > 0 ||
    options.texts('secret').length > 0
  );
}

/**
 * The configuration as --config, --set and --secret give it; the later win.
 * @throws UsageError for what is no JSON object, no `field=value`, or more than one secret
 */
export async function givenConfig(
  context: CommandContext,
  type: BackendType,
): Promise<Record<string, unknown>> {
  const { options } = context;
  const fields = configFields(type);
  const config = objectOf(options.text('config') ?? '{}');
  for (const [name, text] of assignments(options.texts('set'))) {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (field === undefined) {
      throw new UsageError(
        `A backend of type ${type} has no field "${name}". It has: ${Object.keys(fields).join(', ')}.`,
      );
    }
    config[name] = text === 'null' ? null : fieldValue(field, text);
  }
  const [secret, ...others] = options.texts('secret');
  if (others.length > 0) throw new UsageError('Give one --secret.');
  if (secret !== undefined) {
    if (secret !== secretFields[type]) {
      const own = secretFields[type];
      throw new UsageError(
        `"${secret}" is no secret of a backend of type ${type}${own === undefined ? ', which has none' : `; that is ${own}`}.`,
      );
    }
    config[secret] = await secretOf(context, secret);
  }
  return config;
}

async function secretOf({ output, signal }: CommandContext, field: string): Promise<string> {
  const { terminal } = output;
  if (terminal.canAsk) {
    const { password } = await import('@inquirer/prompts');
    return await password(
      { message: `${field} (not shown):`, mask: false },
      { input: terminal.stdin, output: terminal.stderr, signal },
    );
  }
  // One line end is the shell's, not the secret's.
  const text = (await wholeText(terminal.stdin)).replace(/\r?\n$/, '');
  if (text === '') throw new UsageError(`There is no ${field} on standard input.`);
  return text;
}

function objectOf(text: string): Record<string, unknown> {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch {
    throw new UsageError('--config must be a JSON object, such as \'{"root":"/srv/files"}\'.');
  }
}
