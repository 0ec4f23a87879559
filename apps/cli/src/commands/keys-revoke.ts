import { HoldfastError } from '@holdfast/contract/errors';
import type { ApiKey } from '@holdfast/contract/keys';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { counted, printable } from '../output/format.ts';
import { forEach } from './each.ts';

/** Makes API keys worthless. */
export async function run(context: CommandContext): Promise<void> {
  const { args, hub, output, signal } = context;
  const client = await hub();
  const { data } = await client.call('listKeys', { signal });
  const keys = args.map((name) => keyNamed(data, name));
  const names = keys.map(({ name, hint }) => `"${printable(name)}" (…${hint})`);
  await confirm(context, `Revoke ${names.join(', ')}? What uses it is refused from then on.`);
  const { done, failed } = await forEach(
    context,
    keys,
    ({ name }) => name,
    async ({ id }) => {
      await client.call('revokeKey', { params: { id }, signal });
    },
  );
  output.result('keysRevoke', { revoked: done, failed }, () => {
    if (done.length > 0)
      output.note(`revoked ${counted(done.length, 'key')}: ${done.map(printable).join(', ')}`);
  });
}

/** A key by its name, then by its identifier; a good one before a revoked one of the same name. */
function keyNamed(keys: readonly ApiKey[], name: string): ApiKey {
  const found =
    keys.find((key) => key.name === name && key.revoked_at === null) ??
    keys.find((key) => key.id === name) ??
    keys.find((key) => key.name === name);
  if (found !== undefined) return found;
  throw new HoldfastError('key_not_found', `There is no key "${name}". "holdfast keys list" shows them.`);
}
