import { backendType, backendTypes } from '@holdfast/contract/backends';
import type { BackendType } from '@holdfast/contract/backends';
import { displayName } from '@holdfast/contract/fields';
import { z } from 'zod';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { configFields, secretFields } from './backend-config.ts';
import { fieldValue } from './field-values.ts';
import { settingText } from './settings-get.ts';

const typeNames: Readonly<Record<BackendType, string>> = {
  local: 'a folder of the hub',
  nfs: 'an NFS export',
  http: 'a web server; WebDAV for writing',
  s3: 'a bucket of S3 or of what speaks it',
  iscsi: 'a file system on a LUN',
};

/** Fields that are asked for although they have a default. */
const mainFields: readonly string[] = [
  'auth_method',
  'username',
  'password',
  'writable',
  'endpoint',
  'region',
  'chap_enabled',
  'chap_username',
  'chap_password',
];

/** The answers that make sense of a question; without an entry it is always asked. */
const conditions: Readonly<Record<string, (answers: Readonly<Record<string, unknown>>) => boolean>> = {
  username: (answers) => answers['auth_method'] === 'basic',
  password: (answers) => answers['auth_method'] !== 'none',
  chap_username: (answers) => answers['chap_enabled'] === true,
  chap_password: (answers) => answers['chap_enabled'] === true,
  cdn_url: (answers) => answers['cdn_enabled'] === true,
};

/** Asks for the name and the type where they are not given. @throws UsageError where nobody can be asked */
export async function askNameAndType(
  { output, signal }: CommandContext,
  name: string | undefined,
  type: string | undefined,
): Promise<{ name: string; type: BackendType }> {
  const { terminal } = output;
  if (name !== undefined && type !== undefined) return { name, type: backendType.parse(type) };
  if (!terminal.canAsk) {
    throw new UsageError(
      'Give the name and the type, and its configuration by --set: there is no terminal to ask on.',
    );
  }
  const prompts = await import('@inquirer/prompts');
  const on = { input: terminal.stdin, output: terminal.stderr, signal };
  return {
    name:
      name ??
      (await prompts.input(
        { message: 'Name of the backend:', validate: (text) => verdict(displayName, text) },
        on,
      )),
    type:
      type === undefined
        ? await prompts.select(
            {
              message: 'Where are the files?',
              choices: backendTypes.map((value) => ({ value, name: `${value}: ${typeNames[value]}` })),
            },
            on,
          )
        : backendType.parse(type),
  };
}

/** Asks for a configuration, field by field, each answer checked by its schema; what has a default only when wanted. */
export async function askConfig(
  { output, signal }: CommandContext,
  type: BackendType,
): Promise<Record<string, unknown>> {
  const { terminal } = output;
  const prompts = await import('@inquirer/prompts');
  const on = { input: terminal.stdin, output: terminal.stderr, signal };
  const answers: Record<string, unknown> = {};
  const fields = Object.entries(configFields(type));
  const isMain = ([name, field]: [string, z.ZodType]): boolean =>
    mainFields.includes(name) || !field.safeParse(undefined).success;

  const ask = async (name: string, field: z.ZodType): Promise<void> => {
    if (conditions[name]?.(answers) === false) return;
    const message = `${name}${field.description === undefined ? '' : ` (${field.description.replace(/\.$/, '')})`}:`;
    const usual = field.safeParse(undefined);
    const kind = innermost(field);
    if (name === secretFields[type]) {
      answers[name] = await prompts.password(
        { message, mask: false, validate: (text) => verdict(field, text) },
        on,
      );
    } else if (kind instanceof z.ZodBoolean) {
      answers[name] = await prompts.confirm({ message, default: usual.data === true }, on);
    } else if (kind instanceof z.ZodEnum) {
      answers[name] = await prompts.select(
        { message, choices: kind.options.map(String), default: String(usual.data) },
        on,
      );
    } else {
      const isOptional = usual.success;
      const text = await prompts.input(
        {
          message,
          validate: (given) => (isOptional && given === '') || verdict(field, given),
          ...(usual.data === undefined ? {} : { default: settingText(usual.data) }),
        },
        on,
      );
      if (text !== '' || !isOptional) answers[name] = fieldValue(field, text);
    }
  };

  const others = fields.filter((entry) => !isMain(entry));
  for (const [name, field] of fields.filter(isMain)) await ask(name, field);
  const names = others.map(([name]) => name).join(', ');
  const message = `Change what has a default (${names})?`;
  if (others.length > 0 && (await prompts.confirm({ message, default: false }, on))) {
    for (const [name, field] of others) await ask(name, field);
  }
  return answers;
}

function innermost(schema: z.ZodType): z.ZodType {
  if (!(schema instanceof z.ZodDefault) && !(schema instanceof z.ZodOptional)) return schema;
  const inner = schema.unwrap();
  return inner instanceof z.ZodType ? innermost(inner) : schema;
}

/** True, or why the text is refused. */
function verdict(schema: z.ZodType, text: string): true | string {
  const parsed = schema.safeParse(fieldValue(schema, text));
  return parsed.success || `It ${parsed.error.issues[0]?.message ?? 'is refused'}.`;
}
