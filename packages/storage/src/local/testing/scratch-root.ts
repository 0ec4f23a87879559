import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createLocalBackend, prepareLocalRoot } from '../../local.ts';
import type { LocalBackend } from '../../local.ts';

const run = promisify(execFile);

/** Whether file systems can be mounted for a test, and whether permission bits mean nothing. */
export const isSuperuser = process.getuid?.() === 0;

/** A local backend on a folder of its own for a test, with what the test does behind its back. */
export class ScratchRoot implements AsyncDisposable {
  /** Holds the root and room beside it. */
  readonly base: string;
  readonly root: string;
  readonly backend: LocalBackend;
  readonly volumeId: string;
  readonly #mounts: string[];

  constructor(base: string, volumeId: string, mounts: string[]) {
    this.base = base;
    this.root = join(base, 'root');
    this.volumeId = volumeId;
    this.backend = createLocalBackend({ root: this.root, volumeId, ownerId: 'hub-1' });
    this.#mounts = mounts;
  }

  /** Names in the staging folder: empty when no write is under way. */
  async staged(): Promise<string[]> {
    return readdir(join(this.root, '.holdfast/staging'));
  }

  /** Mounts an empty tmpfs below the root. For the superuser only. */
  async mountBelow(name: string, size = '8m'): Promise<string> {
    const at = join(this.root, name);
    await mkdir(at, { recursive: true });
    await mountTmpfs(at, size);
    this.#mounts.push(at);
    return at;
  }

  async remount(option: 'ro' | 'rw'): Promise<void> {
    await run('mount', ['-o', `remount,${option}`, this.root]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const at of this.#mounts.toReversed()) await run('umount', ['-l', at]);
    await rm(this.base, { recursive: true, force: true });
  }
}

async function mountTmpfs(at: string, size: string): Promise<void> {
  await run('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', at]);
}

/** Makes a scratch root; with `tmpfs` as a small file system of its own, for the superuser only. */
export async function makeScratchRoot(options: { tmpfs?: string } = {}): Promise<ScratchRoot> {
  const base = await mkdtemp(join(tmpdir(), 'holdfast-local-'));
  const root = join(base, 'root');
  await mkdir(root);
  const mounts: string[] = [];
  if (options.tmpfs !== undefined) {
    await mountTmpfs(root, options.tmpfs);
    mounts.push(root);
  }
  const { volumeId } = await prepareLocalRoot({ root });
  return new ScratchRoot(base, volumeId, mounts);
}
