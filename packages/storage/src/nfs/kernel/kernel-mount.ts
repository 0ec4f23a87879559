import { execFile } from 'node:child_process';
import { mkdir, readFile, rmdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { NfsSettings } from '../config.ts';
import { mountArguments, mountSource } from './mount-command.ts';
import { explainMountOutput, MountFailed } from './mount-problem.ts';
import { findMount } from './mount-table.ts';

const run = promisify(execFile);

/** The programs and files that a mount needs; tests bring their own. */
export interface MountTools {
  mount(args: readonly string[], timeLimitMs: number): Promise<void>;
  unmount(args: readonly string[], timeLimitMs: number): Promise<void>;
  readTable(): Promise<string>;
}

/** Messages in English, as they are read. */
const environment = { ...process.env, LC_ALL: 'C' };

/** mount(8), umount(8) and the kernel's table, which is read without touching the mounts themselves. */
const systemMountTools: MountTools = {
  mount: async (args, timeLimitMs) => {
    await run('mount', [...args], { timeout: timeLimitMs, env: environment, killSignal: 'SIGKILL' });
  },
  unmount: async (args, timeLimitMs) => {
    await run('umount', [...args], { timeout: timeLimitMs, env: environment, killSignal: 'SIGKILL' });
  },
  readTable: () => readFile('/proc/self/mountinfo', 'utf8'),
};

function outputOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('killed' in error && error.killed === true) return 'it did not answer in time';
  const printed = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim() : '';
  if (printed !== '') return printed;
  return 'code' in error && error.code === 'ENOENT' ? 'mount.nfs: not found' : error.message;
}

/** A share that the kernel mounts on a folder. A mount that is left from before is used when it is of the same share. */
export class KernelMount implements AsyncDisposable {
  readonly mountPoint: string;
  readonly #settings: NfsSettings;
  readonly #timeLimitMs: number;
  readonly #tools: MountTools;
  #mounting: Promise<void> | undefined;

  constructor(
    settings: NfsSettings,
    mountPoint: string,
    timeLimitMs: number,
    tools: MountTools = systemMountTools,
  ) {
    this.#settings = settings;
    this.mountPoint = mountPoint;
    this.#timeLimitMs = timeLimitMs;
    this.#tools = tools;
  }

  /** `server:/path`. */
  get source(): string {
    return mountSource(this.#settings);
  }

  /** Mounts the share unless it is mounted. @throws MountFailed */
  async ensure(): Promise<void> {
    this.#mounting ??= this.#ensure().finally(() => {
      this.#mounting = undefined;
    });
    return this.#mounting;
  }

  /** Takes a mount away whose server has forgotten it, and mounts anew. @throws MountFailed */
  async remount(): Promise<void> {
    await this.#unmount();
    await this.ensure();
  }

  /** Unmounts and removes the mount point. Never waits for a dead server. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#mounting?.catch(() => undefined);
    await this.#unmount();
    await rmdir(this.mountPoint).catch(() => undefined);
  }

  async #ensure(): Promise<void> {
    const mounted = findMount(await this.#tools.readTable(), this.mountPoint);
    if (mounted?.fileSystem.startsWith('nfs') === true && mounted.source === this.source) return;
    if (mounted !== undefined) await this.#unmount();
    await mkdir(this.mountPoint, { recursive: true, mode: 0o700 });
    try {
      await this.#tools.mount(mountArguments(this.#settings, this.mountPoint), this.#timeLimitMs);
    } catch (error) {
      throw new MountFailed(explainMountOutput(outputOf(error)), { cause: error });
    }
  }

  async #unmount(): Promise<void> {
    for (;;) {
      if (findMount(await this.#tools.readTable(), this.mountPoint) === undefined) return;
      try {
        await this.#tools.unmount([this.mountPoint], this.#timeLimitMs);
      } catch {
        // In use, or its server is dead: detached now, cleaned up by the kernel when nobody uses it any more.
        await this.#tools.unmount(['-l', '-f', this.mountPoint], this.#timeLimitMs);
      }
    }
  }
}
