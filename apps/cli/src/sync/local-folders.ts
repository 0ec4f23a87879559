import { lstat, mkdir, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';

const FOLDERS_REMEMBERED = 10_000;

/** The folders of a local destination. Nothing is ever written through a symlink, which could lead out of it. */
export class LocalFolders {
  readonly #root: string;
  readonly #known = new Set<string>();

  constructor(root: string) {
    this.#root = root;
  }

  /**
   * Makes the folders above a file, where they are missing.
   * @throws HoldfastError `not_a_directory` when a file or a symlink stands in the way
   */
  async makeAbove(path: string): Promise<void> {
    await this.#require('', true);
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      await this.#require(path.slice(0, slash), true);
    }
  }

  /** Whether all folders above a file are there, and are no symlinks. */
  async areAbove(path: string): Promise<boolean> {
    try {
      for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
        await this.#require(path.slice(0, slash), false);
      }
      return true;
    } catch (error) {
      if (error instanceof HoldfastError && ['not_a_directory', 'file_not_found'].includes(error.code))
        return false;
      throw error;
    }
  }

  /** Removes the folders above a removed file that hold nothing any more; the root stays. */
  async pruneAbove(path: string): Promise<void> {
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) {
      this.#known.delete(folder);
      try {
        await rmdir(join(this.#root, folder));
      } catch (error) {
        if (['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(errnoOf(error) ?? '')) return;
        throw fileSystemError(error, `Removing ${folder}`);
      }
    }
  }

  async #require(folder: string, make: boolean): Promise<void> {
    if (this.#known.has(folder)) return;
    const absolute = join(this.#root, folder);
    if (make) await made(absolute, folder === '');
    let isFolder = folder === '';
    try {
      isFolder ||= (await lstat(absolute)).isDirectory();
    } catch (error) {
      throw fileSystemError(error, `Looking at ${absolute}`);
    }
    if (!isFolder) {
      const text = `${absolute} is not a folder (or is a symlink, which is not followed). Move it away, or give --delete.`;
      throw new HoldfastError('not_a_directory', text);
    }
    if (this.#known.size >= FOLDERS_REMEMBERED) this.#known.clear();
    this.#known.add(folder);
  }
}

async function made(absolute: string, withParents: boolean): Promise<void> {
  try {
    await mkdir(absolute, { recursive: withParents });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw fileSystemError(error, `Making ${absolute}`);
  }
}
