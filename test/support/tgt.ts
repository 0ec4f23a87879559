import { access, mkdir, open } from 'node:fs/promises';
import path from 'node:path';
import { freePort } from './free-port.ts';
import { runProcess, startProcess } from './process.ts';
import type { RunningProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

/** Where tgtd has its control socket and the lock of each control port. */
const controlFolder = '/run/tgtd';
const portAttempts = 5;

/** One target of a server, with one LUN. */
export interface TgtLun {
  /** IQN. */
  target: string;
  lun: number;
  /** The file behind the LUN. */
  image: string;
}

export interface TgtOptions {
  /** Bytes of the LUN, which is LUN 1. */
  sizeBytes: number;
  chap?: { username: string; password: string };
  /** Write-protects the LUN. */
  readonly?: boolean;
  blockBytes?: 512 | 4096;
  /** Names of parameters of the target as tgtadm has them, such as `MaxRecvDataSegmentLength`. */
  parameters?: Record<string, string>;
  /** Initiator names that are let in. Default: everybody from loopback. */
  initiators?: string[];
}

/** A tgt iSCSI server on loopback with one target. */
export interface TgtServer extends AsyncDisposable, TgtLun {
  readonly port: number;
  /** Of the running server. */
  pid(): number;
  /** What the server has logged. */
  log(): string;
  /** `kill -9`: sessions and reservations are gone, the image stays. */
  kill(): Promise<void>;
  /** Starts it again on the same port with the same image. */
  restart(): Promise<void>;
  /** Stops and continues the process. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** Runs tgtadm, as for a change while it runs. */
  admin(...args: string[]): Promise<string>;
}

let servers = 0;

/** Starts a server. Throws with the name of the package when tgt is not installed. */
export async function startTgt(options: TgtOptions): Promise<TgtServer> {
  await access('/usr/sbin/tgtd').catch(() => {
    throw new Error('tgtd is missing: install the Debian package tgt.');
  });
  await mkdir(controlFolder, { recursive: true });
  await using resources = new AsyncDisposableStack();
  const work = resources.use(await makeTempDir('tgt'));
  const image = work.join('lun.img');
  const file = await open(image, 'wx');
  await file.truncate(options.sizeBytes);
  await file.close();

  servers += 1;
  const target = `iqn.2026-01.test:lun-${process.pid}-${servers}`;
  let running = await launch(target, image, undefined, options);
  const { port } = running;
  resources.defer(() => running.server[Symbol.asyncDispose]());
  const owned = resources.move();
  return {
    target,
    lun: 1,
    image,
    port,
    pid: () => running.server.pid,
    log: () => running.server.stderr(),
    kill: async () => running.server[Symbol.asyncDispose](),
    restart: async () => {
      await running.server[Symbol.asyncDispose]();
      running = await launch(target, image, port, options);
    },
    signal: (signal) => void running.server.kill(signal),
    admin: (...args) => tgtadm(running.control, ...args),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Launched {
  server: RunningProcess;
  port: number;
  control: string;
}

/** A port that was free may be taken before the server binds it; a server that comes back wants no other one. */
async function launch(
  target: string,
  image: string,
  wantedPort: number | undefined,
  options: TgtOptions,
): Promise<Launched> {
  for (let attempt = 1; ; attempt += 1) {
    const port = wantedPort ?? (await freePort());
    // A control port for each server (1 to 32767); made of a TCP port, it is as unique as it takes.
    const control = String(((await freePort()) % 32_767) + 1);
    const args = ['-f', '-C', control, '--iscsi', `portal=127.0.0.1:${port}`, '--nr_iothreads', '4'];
    const server = await startProcess('/usr/sbin/tgtd', args);
    try {
      await controlIsUp(control, server);
      // tgtd runs all the same, and nobody can reach it.
      if (/Address already in use/.test(server.stderr())) throw new Error(`The port ${port} is taken.`);
      await configure(control, target, image, options);
      return { server, port, control };
    } catch (error) {
      await server[Symbol.asyncDispose]();
      if (attempt === portAttempts) throw error;
    }
  }
}

/** tgtd prints nothing when it is ready: its control socket answers then. */
async function controlIsUp(control: string, server: RunningProcess): Promise<void> {
  const ended = server.exited.then(() => 'ended' as const);
  for (;;) {
    const state = await Promise.race([ended, isAnswering(control)]);
    if (state === 'answering') return;
    if (state === 'ended') throw new Error(`tgtd ended at once.\n${server.stderr()}`);
  }
}

async function isAnswering(control: string): Promise<'answering' | 'silent'> {
  const { code } = await runProcess('/usr/sbin/tgtadm', ['-C', control, '--op', 'show', '--mode', 'sys'], {
    okCodes: Array.from({ length: 256 }, (_, index) => index),
  });
  return code === 0 ? 'answering' : 'silent';
}

async function tgtadm(control: string, ...args: string[]): Promise<string> {
  return (await runProcess('/usr/sbin/tgtadm', ['-C', control, ...args])).stdout;
}

async function configure(control: string, target: string, image: string, options: TgtOptions): Promise<void> {
  const admin = (...args: string[]): Promise<string> => tgtadm(control, '--lld', 'iscsi', ...args);
  await tgtadm(control, '--op', 'update', '--mode', 'sys', '--name', 'State', '-v', 'offline');
  await admin('--op', 'new', '--mode', 'target', '--tid', '1', '-T', target);
  for (const [name, value] of Object.entries(options.parameters ?? {})) {
    await admin('--op', 'update', '--mode', 'target', '--tid', '1', '-n', name, '-v', value);
  }
  const backing = [
    '-b',
    path.resolve(image),
    '--bstype',
    'rdwr',
    '--blocksize',
    String(options.blockBytes ?? 512),
  ];
  await admin('--op', 'new', '--mode', 'logicalunit', '--tid', '1', '--lun', '1', ...backing);
  if (options.readonly === true) {
    await admin(
      '--op',
      'update',
      '--mode',
      'logicalunit',
      '--tid',
      '1',
      '--lun',
      '1',
      '--params',
      'readonly=1',
    );
  }
  if (options.chap !== undefined) {
    const { username, password } = options.chap;
    await admin('--op', 'new', '--mode', 'account', '--user', username, '--password', password);
    await admin('--op', 'bind', '--mode', 'account', '--tid', '1', '--user', username);
  }
  if (options.initiators === undefined)
    await admin('--op', 'bind', '--mode', 'target', '--tid', '1', '-I', '127.0.0.1');
  for (const name of options.initiators ?? []) {
    await admin('--op', 'bind', '--mode', 'target', '--tid', '1', '--initiator-name', name);
  }
  await tgtadm(control, '--op', 'update', '--mode', 'sys', '--name', 'State', '-v', 'ready');
}
