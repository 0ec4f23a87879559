import { existsSync } from 'node:fs';
import { runProcess, startProcess } from './process.ts';

const rpcbind = '/usr/sbin/rpcbind';
const startTimeoutMs = 10_000;

/** A portmapper in a network of its own, as there is one port 111 and one socket in /run for a whole machine. */
export interface Portmapper extends AsyncDisposable {
  /** Where it and the servers beside it are reached by the test. */
  readonly address: string;
  /** A program and its arguments that run a command beside it, in its own pid. */
  readonly prefix: readonly [string, ...string[]];
}

/** Its own /run keeps the socket of rpcbind apart; the process ids end together when the first of them does. */
const script = `
mount -t tmpfs tmpfs /run && ip link set lo up && ${rpcbind} -w && echo ready && exec sleep infinity
`;

/** Starts rpcbind in namespaces of its own. Needs root; throws with what is missing. */
export async function startPortmapper(): Promise<Portmapper> {
  if (!existsSync(rpcbind)) throw new Error(`${rpcbind} is not there. Install the Debian package rpcbind.`);
  if (process.getuid?.() !== 0)
    throw new Error('A portmapper of its own needs root, for a network namespace.');
  await using resources = new AsyncDisposableStack();
  const apart = ['--net', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child'];
  const holder = resources.use(await startProcess('unshare', [...apart, 'sh', '-c', script]));
  await holder.waitForOutput(/^ready$/m, { timeoutMs: startTimeoutMs });
  const prefix = ['nsenter', '--target', String(holder.pid), '--net', '--mount'] as const;
  // By the holder's pid, so that two runs at once on one machine do not meet.
  const network = `10.${100 + (holder.pid % 50)}.${Math.floor(holder.pid / 50) % 256}`;
  const [address, outside, device] = [`${network}.1`, `${network}.254`, `hn${holder.pid}`];
  const [program, ...args] = prefix;
  await ip(`link add ${device} type veth peer name inside0 netns ${holder.pid}`);
  for (const command of [`address add ${address}/24 dev inside0`, 'link set inside0 up']) {
    await runProcess(program, [...args, 'ip', ...command.split(' ')]);
  }
  await ip(`address add ${outside}/24 dev ${device}`);
  await ip(`link set ${device} up`);
  const owned = resources.move();
  return { address, prefix, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function ip(command: string): Promise<void> {
  await runProcess('ip', command.split(' '));
}
