import { lstat, opendir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { HoldfastError } from '@holdfast/contract/errors';

/** A file of this machine that is to be sent. */
export interface LocalFile {
  /** Absolute. */
  path: string;
  /** Below what was named, with forward slashes, beginning with its name: `etc/hosts` for `-r /etc`. */
  relative: string;
  size: number;
  mtime: Date;
  mode: number;
}

/**
 * The files that an argument names; folders only with `isRecursive`. Symlinks within a folder, and what is no file, are told
 * to `onSkipped` and left out. In the order of the names.
 * @throws HoldfastError `file_not_found`, `is_a_directory`, `invalid_request`
 */
export async function* localFiles(
  text: string,
  isRecursive: boolean,
  onSkipped: (path: string) => void,
): AsyncGenerator<LocalFile> {
  const path = resolve(text);
  const stats = await statOf(path, text);
  const { size, mtime, mode } = stats;
  if (stats.isFile()) yield { path, relative: basename(path), size, mtime, mode: mode & 0o7777 };
  else if (!stats.isDirectory()) {
    throw new HoldfastError('invalid_request', `${text} is neither a file nor a folder; it is not sent.`);
  } else if (isRecursive) yield* below(path, basename(path), onSkipped);
  else throw new HoldfastError('is_a_directory', `${text} is a folder. Give -r to send all that it holds.`);
}

async function* below(
  folder: string,
  relative: string,
  onSkipped: (path: string) => void,
): AsyncGenerator<LocalFile> {
  const names: string[] = [];
  for await (const { name } of await opendir(folder)) names.push(name);
  for (const name of names.toSorted()) {
    const path = join(folder, name);
    const stats = await lstat(path);
    const { size, mtime, mode } = stats;
    const own = relative === '' ? name : `${relative}/${name}`;
    if (stats.isDirectory()) yield* below(path, own, onSkipped);
    else if (stats.isFile()) yield { path, relative: own, size, mtime, mode: mode & 0o7777 };
    else onSkipped(path);
  }
}

async function statOf(path: string, text: string) {
  try {
    const stats = await lstat(path);
    if (!stats.isSymbolicLink()) return stats;
    // A link that is named itself means what it points to.
    return await stat(path);
  } catch (cause) {
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    if (isMissing) throw new HoldfastError('file_not_found', `There is no file ${text}.`, { cause });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HoldfastError('forbidden', `${text} cannot be read: ${reason}.`, { cause });
  }
}
