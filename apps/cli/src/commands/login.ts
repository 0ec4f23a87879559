import { readFile } from 'node:fs/promises';
import { text as wholeText } from 'node:stream/consumers';
import { createClient } from '@holdfast/client/client';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { withoutSlash } from '../profile/credentials.ts';
import { configFolder } from '../profile/folders.ts';
import { readProfiles, writeProfiles } from '../profile/profile-store.ts';

/** Asks for URL and key, checks them at the hub, and keeps them. */
export async function run(context: CommandContext): Promise<void> {
  const { args, env, globals, output, signal } = context;
  const name = args[0] ?? globals.text('profile') ?? 'default';
  const folder = configFolder(env);
  // Read first: nobody should type a key that cannot be kept.
  const known = await readProfiles(folder);
  const old = Object.hasOwn(known.profiles, name) ? known.profiles[name] : undefined;
  const url = withoutSlash(
    globals.text('url') ?? filled(env['HOLDFAST_URL']) ?? (await askUrl(context, old?.url)),
  );
  const apiKey = (await givenKey(context)) ?? (await askKey(context));
  const client = createClient({ url, apiKey, signal });
  const key = await client.call('getOwnKey', { signal });
  await writeProfiles(folder, {
    ...known,
    current: name,
    profiles: { ...known.profiles, [name]: { url, api_key: apiKey } },
  });
  output.result('login', { profile: name, url, key }, () => {
    output.line(`Logged in to ${url} as "${key.name}"; the profile is "${name}".`);
  });
}

async function givenKey({ options, env, output, globals }: CommandContext): Promise<string | undefined> {
  const file = options.text('keyFile');
  if (file !== undefined) {
    const text = file === '-' ? await wholeText(output.terminal.stdin) : await readFile(file, 'utf8');
    if (text.trim() !== '') return text.trim();
    throw new UsageError(`There is no key in ${file === '-' ? 'standard input' : file}.`);
  }
  return globals.flag('json') || !output.terminal.canAsk ? filled(env['HOLDFAST_API_KEY']) : undefined;
}

async function askUrl({ output, signal }: CommandContext, old: string | undefined): Promise<string> {
  const { terminal } = output;
  if (!terminal.canAsk)
    throw new UsageError('Give the URL of the hub by --url: there is no terminal to ask on.');
  const { input } = await import('@inquirer/prompts');
  return await input(
    { message: 'URL of the hub', default: old ?? 'http://127.0.0.1:8080' },
    { input: terminal.stdin, output: terminal.stderr, signal },
  );
}

async function askKey({ output, signal }: CommandContext): Promise<string> {
  const { terminal } = output;
  if (!terminal.canAsk)
    throw new UsageError('Give the key by --key-file (- is standard input): there is no terminal to ask on.');
  const { password } = await import('@inquirer/prompts');
  const key = await password(
    { message: 'API key (not shown)', validate: (text) => text.trim() !== '' || 'It must not be empty.' },
    { input: terminal.stdin, output: terminal.stderr, signal },
  );
  return key.trim();
}

function filled(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
