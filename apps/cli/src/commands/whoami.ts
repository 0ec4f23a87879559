import type { CommandContext } from '../context.ts';
import { localTime } from '../output/format.ts';
import { version } from '../version.ts';

/** Shows the hub, the key and what it may do. */
export async function run({ hub, credentials, output, signal }: CommandContext): Promise<void> {
  const { url, profile } = await credentials();
  const client = await hub();
  const [key, info] = await Promise.all([
    client.call('getOwnKey', { signal }),
    client.call('getSystemInfo', { signal }),
  ]);
  output.result('whoami', { profile, url, hub_version: info.version, version, key }, () => {
    const limits = [
      ...(key.backend_id === null ? [] : [`backend ${key.backend_id}`]),
      ...(key.path_prefix === null ? [] : [`folder ${key.path_prefix}`]),
      ...(key.hostname === null ? [] : [`machine ${key.hostname}`]),
    ];
    output.fields([
      ['profile', profile ?? '(environment)'],
      ['hub', url],
      ['version', info.version],
      ['key', `${key.name} (…${key.hint})`],
      ['scopes', key.scopes.join(' ')],
      ['limited to', limits.length === 0 ? '-' : limits.join(', ')],
      ['expires', localTime(key.expires_at)],
    ]);
  });
}
