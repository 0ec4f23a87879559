import { HoldfastError } from '@holdfast/contract/errors';
import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { Socket } from 'node:net';
import { Answerer } from '../../iscsi/calls/answerer.ts';
import { FileHandlers } from '../../iscsi/stack/file-handlers.ts';
import { KernelMount } from './kernel-mount.ts';
import { answersOfMount } from './mount-stats.ts';
import { verifyReadBack } from './read-back.ts';
import { ServerWatch } from './server-watch.ts';
import { shareStart } from './share-start.ts';

/*
 * The process that has a share mounted, in a mount namespace of its own, and does the hub's work on its files: what
 * blocks on a dead server blocks here, and not in the hub. When the hub goes away, however that happens, the end of the
 * channel (descriptor 3) is the sign to unmount and end.
 */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

let mount: KernelMount | undefined;
let isGoingDown = false;

const files = new FileHandlers(() => {
  if (mount !== undefined) return mount.root;
  throw new HoldfastError('backend_unavailable', 'The share is not mounted.');
}, verifyReadBack);

async function start(params: unknown): Promise<null> {
  const orders = shareStart.parse(params);
  mount = await KernelMount.make(orders);
  const { root, source } = mount;
  const watch = new ServerWatch({
    ask: () => statfs(root),
    answers: () => answersOfMount(readFileSync('/proc/self/mountstats', 'utf8'), root),
    source,
    timeLimitMs: orders.timeLimitMs,
  });
  void watch.lost.then(lose);
  return null;
}

async function lose(error: HoldfastError): Promise<void> {
  answerer.lose(error);
  await end(async () => mount?.abandon());
}

/** The server has put another file system in the place of the one that is mounted: a new mount sees that. */
async function onFailure(error: unknown): Promise<void> {
  if (!(error instanceof HoldfastError) || error.code !== 'backend_unavailable') return;
  if (mount === undefined || !(await mount.isStale())) return;
  const text = `The NFS server does not know the mounted ${mount.source} any more. It is mounted again.`;
  await lose(new HoldfastError('backend_unavailable', text));
}

async function goDown(): Promise<void> {
  await end(async () => {
    await answerer.drain();
    await files.closeAll();
    await mount?.unmount();
  });
}

async function end(unmount: () => Promise<void>): Promise<void> {
  if (isGoingDown) return;
  isGoingDown = true;
  try {
    await unmount();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  }
  // Not by `exit`, which would wait for threads that wait for the server; the namespace, and the mount, go all the same.
  process.kill(process.pid, 'SIGKILL');
}

const channel = new Socket({ fd: 3, readable: true, writable: true });
const answerer = new Answerer(channel, { ...files.handlers, start }, onFailure);
void answerer.closed.then(goDown);
