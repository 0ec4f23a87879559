import { apiKeyCreate } from '@holdfast/contract/keys';
import type { CommandContext } from '../context.ts';
import { UsageError } from '../exit-codes.ts';
import { localTime } from '../output/format.ts';
import { Remote } from '../paths/remote.ts';
import { checked } from './field-values.ts';

/** Issues an API key. Its token is the only line of standard output, so that a script can take it. */
export async function run({ args, hub, options, output, signal }: CommandContext): Promise<void> {
  if (output.mode === 'quiet')
    throw new UsageError('The token of a key is shown this once: --quiet would lose it.');
  const scopes = options.texts('scope').flatMap((text) => text.split(','));
  if (scopes.length === 0)
    throw new UsageError('Give what the key may do by --scope, such as --scope files:read.');
  const client = await hub();
  const backend = options.text('backend');
  const most = Number.MAX_SAFE_INTEGER;
  const body = checked(
    apiKeyCreate,
    {
      name: args[0],
      scopes,
      backend_id: backend === undefined ? null : await new Remote(client).backendId(backend),
      path_prefix: options.text('path') ?? null,
      hostname: options.text('host') ?? null,
      quota_bytes: options.integer('quotaBytes', 0, most) ?? null,
      quota_files: options.integer('quotaFiles', 0, most) ?? null,
      expires_at: options.text('expires') ?? null,
    },
    'The key',
  );
  const key = await client.call('createKey', { body, signal });
  output.result('keysCreate', { key }, () => {
    output.line(key.token);
    const until = key.expires_at === null ? '' : ` until ${localTime(key.expires_at)}`;
    output.note(
      `The key "${key.name}" is good${until} for ${key.scopes.join(', ')}. Keep the token: it is not shown again.`,
    );
  });
}
