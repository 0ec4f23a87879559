import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { startTcpProxy } from '@holdfast/test-support/tcp-proxy';
import type { TcpProxy } from '@holdfast/test-support/tcp-proxy';
import { startTgt } from '@holdfast/test-support/tgt';
import type { TgtServer } from '@holdfast/test-support/tgt';
import { readFile, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { connectionSettings } from '../config.ts';
import { stackOptions } from '../prepare.ts';
import { shareStack } from '../stack/shared-stacks.ts';
import { createIscsiBackend, prepareIscsi } from '../../iscsi.ts';
import type { IscsiBackend, IscsiConfig, IscsiSurroundings } from '../../iscsi.ts';

const MIB = 1024 * 1024;
export const chap = { username: 'hubuser', password: 'hub-secret-1234' };
/** Both digests on: tgt refuses them unless it is told to take them. */
export const withDigests = { HeaderDigest: 'CRC32C,None', DataDigest: 'CRC32C,None' };

export interface ScratchLunOptions {
  sizeMiB?: number;
  digests?: boolean;
  filesystem?: 'ext4' | 'xfs';
  /** Reach the server by a proxy that can be told to misbehave. */
  proxied?: boolean;
  stallMs?: number;
}

/** A tgt server with a LUN of its own for a test, with a file system and a backend on it. */
export class ScratchLun implements AsyncDisposable {
  readonly server: TgtServer;
  readonly proxy: TcpProxy | undefined;
  readonly config: IscsiConfig & { chap_password: string };
  readonly surroundings: IscsiSurroundings;
  readonly warnings: string[];
  #resources: AsyncDisposableStack | undefined;
  #made: { backend: IscsiBackend; volumeId: string } | undefined;

  private constructor(
    server: TgtServer,
    proxy: TcpProxy | undefined,
    config: IscsiConfig & { chap_password: string },
    surroundings: IscsiSurroundings,
    warnings: string[],
  ) {
    this.server = server;
    this.proxy = proxy;
    this.config = config;
    this.surroundings = surroundings;
    this.warnings = warnings;
  }

  /** Starts the server; the LUN is blank. */
  static async blank(options: ScratchLunOptions = {}): Promise<ScratchLun> {
    await using resources = new AsyncDisposableStack();
    const server = resources.use(
      await startTgt({
        sizeBytes: (options.sizeMiB ?? 128) * MIB,
        chap,
        ...(options.digests === false ? {} : { parameters: withDigests }),
      }),
    );
    const proxy =
      options.proxied === true ? resources.use(await startTcpProxy({ port: server.port })) : undefined;
    const state = resources.use(await makeTempDir('iscsi'));
    const warnings: string[] = [];
    const config = {
      target: server.target,
      portal: '127.0.0.1',
      port: proxy?.listenPort ?? server.port,
      lun: server.lun,
      chap_enabled: true,
      chap_username: chap.username,
      chap_password: chap.password,
      filesystem: options.filesystem ?? 'ext4',
      mode: 'direct',
    } as const;
    const surroundings: IscsiSurroundings = {
      ownerId: 'hub-1',
      stateDir: state.path,
      stallMs: options.stallMs ?? 20_000,
      logger: { warn: (_fields, message) => void warnings.push(message) },
    };
    const lun = new ScratchLun(server, proxy, config, surroundings, warnings);
    lun.#resources = resources.move();
    return lun;
  }

  /** Starts the server, formats the LUN and makes a backend on it. */
  static async formatted(options: ScratchLunOptions = {}): Promise<ScratchLun> {
    const lun = await ScratchLun.blank(options);
    try {
      // Held, so that the backend goes on with the stack that the preparation has brought up.
      const stack = await stackOptions(
        lun.config,
        connectionSettings(lun.config, lun.surroundings),
        lun.surroundings,
      );
      await using _held = await shareStack(`${lun.surroundings.ownerId} ${stack.name}`, stack);
      const { volumeId } = await prepareIscsi(lun.config, { ...lun.surroundings, format: true });
      lun.#made = { backend: lun.backendFor(volumeId), volumeId };
      await lun.#made.backend.usage();
      return lun;
    } catch (error) {
      await lun[Symbol.asyncDispose]();
      throw error;
    }
  }

  get backend(): IscsiBackend {
    if (this.#made === undefined) throw new Error('The LUN is blank.');
    return this.#made.backend;
  }

  get volumeId(): string {
    if (this.#made === undefined) throw new Error('The LUN is blank.');
    return this.#made.volumeId;
  }

  get stateDir(): string {
    return this.surroundings.stateDir;
  }

  /** Another backend on the same LUN. */
  backendFor(volumeId: string, changes: Partial<IscsiConfig & IscsiSurroundings> = {}): IscsiBackend {
    return createIscsiBackend({ ...this.config, ...this.surroundings, ...changes, volumeId });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A target that was stopped would never let the LUN go.
    this.server.signal('SIGCONT');
    this.proxy?.resume();
    await this.#made?.backend[Symbol.asyncDispose]();
    await this.#resources?.disposeAsync();
  }
}

/** The processes whose working directory is a stack below a folder, by the name of their program. */
export async function stackProcesses(stateDir: string): Promise<{ pid: number; command: string }[]> {
  const found: { pid: number; command: string }[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (!(await readlink(join('/proc', name, 'cwd'))).startsWith(`${stateDir}/`)) continue;
      const command = (await readFile(join('/proc', name, 'cmdline'), 'utf8')).replaceAll('\0', ' ').trim();
      found.push({ pid: Number(name), command });
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/** The pid of the process that has a LUN mounted. */
export async function holderPid(stateDir: string): Promise<number> {
  const holder = (await stackProcesses(stateDir)).find(({ command }) => command.includes('holder-main'));
  if (holder === undefined) throw new Error('Nobody holds the LUN.');
  return holder.pid;
}

/** The folder of the one stack below a folder. */
export async function stackFolder(stateDir: string): Promise<string> {
  const [name] = (await readdir(stateDir)).filter((each) => each.startsWith('iscsi-'));
  if (name === undefined) throw new Error('No LUN was ever mounted.');
  return join(stateDir, name);
}

/** The files of a mounted LUN, as this process can reach them behind the backend's back. */
export async function filesOf(stateDir: string): Promise<string> {
  const pid = await holderPid(stateDir);
  return join('/proc', String(pid), 'root', await stackFolder(stateDir), 'mnt');
}
