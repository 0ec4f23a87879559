import type { BigIntStats } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import type { FileStamp, Skipped, SyncFile } from './entry.ts';
import type { IgnoreRules } from './ignore-rules.ts';
import type { PathOrder } from './order.ts';

export interface LocalTreeOptions {
  root: string;
  order: PathOrder;
  rules: IgnoreRules;
  onSkipped: (skipped: Skipped) => void;
}

/** Files of which `lstat` is asked at once. */
const LSTATS = 64;

/** The files below a local folder, in order, without following symlinks and without opening anything but folders. */
export class LocalTree {
  readonly #options: LocalTreeOptions;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  readonly #shields = new Set<string>();

  constructor(options: LocalTreeOptions) {
    this.#options = options;
  }

  /** @throws HoldfastError `file_not_found`, `not_a_directory` when the root is no folder */
  async requireFolder(): Promise<void> {
    const { root } = this.#options;
    try {
      if ((await stat(root)).isDirectory()) return;
    } catch (error) {
      throw fileSystemError(error, `Reading ${root}`, 'read');
    }
    throw new HoldfastError('not_a_directory', `${root} is not a folder. Use put or get for a single file.`);
  }

  /**
   * Whether something stands here, or above here, that was seen but not looked into: a symlink, an unreadable folder. What
   * the other side has there must not be taken for surplus. Holds for paths that the walk has passed.
   */
  isShielded(path: string): boolean {
    if (this.#shields.size === 0) return false;
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      if (this.#shields.has(path.slice(0, slash))) return true;
    }
    return this.#shields.has(path);
  }

  /** All files; none when the root does not exist. What is left out is told to `onSkipped`. */
  async *files(): AsyncGenerator<SyncFile> {
    yield* this.#below('');
  }

  async *#below(folder: string): AsyncGenerator<SyncFile> {
    const names = await this.#children(folder);
    const seen = new Map<string, Promise<BigIntStats | null>>();
    let ahead = 0;
    for (const [at, { path, isFolder }] of names.entries()) {
      for (; ahead < names.length && ahead < at + LSTATS; ahead += 1) {
        const next = names[ahead];
        if (next !== undefined && !next.isFolder) seen.set(next.path, this.#stats(next.path));
      }
      if (isFolder) {
        yield* this.#below(path);
        continue;
      }
      const stats = await seen.get(path);
      seen.delete(path);
      if (stats === undefined || stats === null) continue;
      if (stats.isFile()) yield localFile(path, stats);
      else this.#skip(path, kindOf(stats), false);
    }
  }

  async #children(folder: string): Promise<{ path: string; isFolder: boolean; key: string }[]> {
    const { root, rules, order } = this.#options;
    const prefix = folder === '' ? '' : `${folder}/`;
    const found: { path: string; isFolder: boolean; key: string }[] = [];
    let entries;
    try {
      entries = await readdir(join(root, folder), { withFileTypes: true, encoding: 'buffer' });
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      if (folder === '') throw fileSystemError(error, `Reading ${root}`, 'read');
      this.#skip(folder, fileSystemError(error, `Reading ${join(root, folder)}`, 'read').message, true);
      return [];
    }
    for (const entry of entries) {
      const name = this.#decoded(entry.name);
      if (name === null) {
        const shown = prefix + entry.name.toString('latin1').replaceAll(/[^ -~]/g, hexEscape);
        this.#skip(shown, 'Its name is not valid UTF-8, so the hub cannot keep it. Rename it.', true);
        continue;
      }
      const path = prefix + name;
      const isFolder = entry.isDirectory();
      // A folder comes where the paths below it come: "a-b" is before "a/c".
      if (!rules.ignores(path, isFolder)) found.push({ path, isFolder, key: isFolder ? `${path}/` : path });
    }
    return found.toSorted((a, b) => order(a.key, b.key));
  }

  #decoded(name: Buffer): string | null {
    try {
      return this.#decoder.decode(name);
    } catch {
      return null;
    }
  }

  async #stats(path: string): Promise<BigIntStats | null> {
    try {
      return await lstat(join(this.#options.root, path), { bigint: true });
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT')
        this.#skip(path, fileSystemError(error, 'Looking at it', 'read').message, true);
      return null;
    }
  }

  #skip(path: string, detail: string, isFailure: boolean): void {
    this.#shields.add(path);
    this.#options.onSkipped({ path, code: isFailure ? 'invalid_path' : 'not_supported', detail, isFailure });
  }
}

/** A file as `lstat` shows it. */
export function localFile(path: string, stats: BigIntStats): SyncFile {
  return {
    path,
    size: Number(stats.size),
    mtimeMs: Number(stats.mtimeMs),
    mode: Number(stats.mode & 0o7777n),
    sha256: null,
    stamp: stampOf(stats),
  };
}

/** What tells this state of a file from any other. */
export function stampOf({ ino, mtimeNs, ctimeNs }: BigIntStats): FileStamp {
  return { ino, mtimeNs, ctimeNs };
}

function kindOf(stats: BigIntStats): string {
  return stats.isSymbolicLink() ? 'It is a symlink.' : 'It is neither a file nor a folder.';
}

function hexEscape(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}
