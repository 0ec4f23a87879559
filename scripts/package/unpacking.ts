import { hash, randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The files that an executable carries. */
export interface Contents {
  /** Differs whenever any file does; the name of the folder that they are unpacked into. */
  readonly id: string;
  /** Which of them to start. */
  readonly main: string;
  /** Paths with slashes, relative to the folder; SHA-256 in hexadecimal. */
  readonly files: readonly { readonly path: string; readonly sha256: string }[];
}

/**
 * Makes a folder that only this user may read and write.
 * @throws Error when it is there already and belongs to somebody else, lets others in, or is a symlink
 */
export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = lstatSync(folder);
  const isPrivate = found.isDirectory() && found.uid === process.geteuid?.() && (found.mode & 0o077) === 0;
  if (isPrivate) return;
  throw new Error(
    `${folder} must be a folder that belongs to you and that nobody else may enter (chmod 700). ` +
      'HOLDFAST_CACHE_DIR names another one.',
  );
}

/**
 * Brings `folder` to hold `contents`: every file is read and written anew unless it has its SHA-256. Several processes
 * may do so at once, as a file gets its name when it is whole.
 * @param folder absolute; its parent must be there
 * @param read the bytes of a file by its path
 * @throws Error of the file system, or when `folder` is not private
 */
export function unpack(folder: string, contents: Contents, read: (path: string) => Uint8Array): void {
  makePrivateFolder(folder);
  const made = new Set<string>();
  for (const { path, sha256 } of contents.files) {
    const file = join(folder, path);
    if (hasDigest(file, sha256)) continue;
    const parent = dirname(file);
    if (!made.has(parent)) mkdirSync(parent, { recursive: true, mode: 0o700 });
    made.add(parent);
    const unfinished = `${file}.${randomBytes(6).toString('hex')}`;
    writeFileSync(unfinished, read(path), { mode: 0o600, flag: 'wx' });
    renameSync(unfinished, file);
  }
}

function hasDigest(file: string, sha256: string): boolean {
  try {
    return hash('sha256', readFileSync(file), 'hex') === sha256;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
