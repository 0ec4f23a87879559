import { writeFile } from 'node:fs/promises';
import type { NetworkHost } from './boot-network.ts';
import { startProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

/** A dnsmasq in a boot network. Disposing ends it and removes its files. */
export interface Dnsmasq extends AsyncDisposable {
  /** What it has logged; with `log-dhcp` all that machines ask and are told. */
  log(): string;
}

/**
 * Starts dnsmasq with exactly `config`, followed by `extra` lines and by where to keep its own files.
 * Throws with its log when it does not answer DHCP within 10 s.
 */
export async function startDnsmasq(
  host: NetworkHost,
  config: string,
  extra: readonly string[] = [],
): Promise<Dnsmasq> {
  await using resources = new AsyncDisposableStack();
  const work = resources.use(await makeTempDir('dnsmasq'));
  const own = ['user=root', 'pid-file=', `dhcp-leasefile=${work.join('leases')}`, 'log-facility=-'];
  await writeFile(work.join('dnsmasq.conf'), [config, ...extra, ...own, ''].join('\n'));
  const [command, ...args] = [...host.prefix, 'dnsmasq', '--keep-in-foreground'] as const;
  const server = resources.use(
    await startProcess(command, [...args, `--conf-file=${work.join('dnsmasq.conf')}`]),
  );
  await server.waitForOutput(/DHCP, (IP range|proxy on)/, { timeoutMs: 10_000, stream: 'stderr' });
  const owned = resources.move();
  return { log: () => server.stderr(), [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
