import { type RunningProcess, runProcess, startProcess } from './process.ts';

/** The bridge that machines, hub and DHCP server meet on. */
const bridge = 'boot0';
/** The bridge's port that a virtual machine is plugged into. */
const tap = 'tap0';

/** A place in a boot network where programs run. */
export interface NetworkHost extends AsyncDisposable {
  /** Where a server on it is reached by machines. */
  readonly address: string;
  /** The network device on which it sees the machines. */
  readonly interface: string;
  /** A program and its arguments that run a command there, in its own pid. */
  readonly prefix: readonly [string, ...string[]];
}

/**
 * A network of its own for booting machines, apart from every network that this machine is in: a namespace, which
 * is its first host, with a bridge. Its address is reached by the test itself, too.
 */
export interface BootNetwork extends NetworkHost {
  /** The tap device that a virtual machine is plugged into. */
  readonly tap: string;
  /** The network's own address. */
  readonly network: string;
  /** `first,last` address to hand out. */
  readonly range: string;
  /** Adds a second host, such as a router with a DHCP server of its own. Dispose it before the network. */
  addHost(): Promise<NetworkHost>;
}

/**
 * Makes the network. A namespace lives as long as a process in it, so that nothing is left behind even when the test
 * is killed. Needs root, and `/dev/net/tun`; throws with what is missing.
 */
export async function openBootNetwork(): Promise<BootNetwork> {
  if (process.getuid?.() !== 0) {
    throw new Error(
      'A boot network needs root, for a network namespace with a tap device: run this test as root ' +
        '(in a container also with CAP_SYS_ADMIN, CAP_NET_ADMIN and the device /dev/net/tun).',
    );
  }
  await using resources = new AsyncDisposableStack();
  const holder = resources.use(await holdNamespace());
  const prefix = entering(holder);
  // By the holder's pid, so that two runs at once on one machine do not meet.
  const network = `10.${200 + (holder.pid % 50)}.${Math.floor(holder.pid / 50) % 256}`;
  const [address, outside, link] = [`${network}.1`, `${network}.254`, `hf${holder.pid}`];
  await runIp([], `link add ${link} type veth peer outside0 netns ${holder.pid}`);
  for (const command of [
    'link set lo up',
    `link add ${bridge} type bridge`,
    `tuntap add ${tap} mode tap`,
    `link set ${tap} master ${bridge} up`,
    `address add ${address}/24 dev ${bridge}`,
    `link set ${bridge} up`,
    'link set outside0 up',
    `route add ${outside}/32 dev outside0`,
  ]) {
    await runIp(prefix, command);
  }
  // Only the one address is routed into the namespace: no broadcast of its machines gets out.
  for (const command of [
    `address add ${outside}/32 dev ${link}`,
    `link set ${link} up`,
    `route add ${address}/32 dev ${link} src ${outside}`,
  ]) {
    await runIp([], command);
  }
  const owned = resources.move();
  return {
    address,
    interface: bridge,
    tap,
    network: `${network}.0`,
    range: `${network}.100,${network}.199`,
    prefix,
    addHost: () => addHost(holder, `${network}.2`),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function addHost(network: RunningProcess, address: string): Promise<NetworkHost> {
  await using resources = new AsyncDisposableStack();
  const holder = resources.use(await holdNamespace());
  const prefix = entering(holder);
  const [port, device] = [`port${holder.pid}`, 'eth0'];
  await runIp(entering(network), `link add ${port} type veth peer ${device} netns ${holder.pid}`);
  await runIp(entering(network), `link set ${port} master ${bridge} up`);
  for (const command of [
    'link set lo up',
    `address add ${address}/24 dev ${device}`,
    `link set ${device} up`,
  ])
    await runIp(prefix, command);
  const owned = resources.move();
  return { address, interface: device, prefix, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function holdNamespace(): Promise<RunningProcess> {
  const holder = await startProcess('unshare', ['--net', 'sh', '-c', 'echo inside; exec sleep infinity']);
  try {
    await holder.waitForOutput(/^inside$/m, { timeoutMs: 10_000 });
    return holder;
  } catch (error) {
    await holder[Symbol.asyncDispose]();
    throw error;
  }
}

function entering(holder: RunningProcess): [string, ...string[]] {
  return ['nsenter', `--net=/proc/${holder.pid}/ns/net`, '--'];
}

async function runIp(prefix: readonly string[], words: string): Promise<void> {
  const [command = 'ip', ...args] = [...prefix, 'ip', ...words.split(' ')];
  await runProcess(command, args);
}
