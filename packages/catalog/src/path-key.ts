import { hash } from 'node:crypto';
import { HoldfastError } from '@holdfast/contract/errors';

/** Characters of a path that an index holds: at most 2,048 bytes, below PostgreSQL's limit of 2,704 for all columns. */
export const HEAD_CHARACTERS = 512;

/** The same beside a hostname of 253 characters (1,012 bytes) and a digest. */
export const HOST_FILE_HEAD_CHARACTERS = 320;

/** What identifies a path in an index of bounded width, in the order of paths. */
export interface PathKey {
  /** The first characters (512, or as many as were asked for): nearly always the whole path. */
  head: string;
  /** Lower-case hex SHA-256 of what follows; empty when nothing does. */
  tail: string;
}

export function pathKey(path: string, characters = HEAD_CHARACTERS): PathKey {
  const head = pathHead(path, characters);
  return { head, tail: head.length === path.length ? '' : hash('sha256', path.slice(head.length), 'hex') };
}

/** The first 512 (or so many) characters of a path, as SQL's `substr(path, 1, 512)` counts them. */
export function pathHead(path: string, characters = HEAD_CHARACTERS): string {
  if (path.length <= characters) return path;
  // A character is at most two code units.
  return Array.from(path.slice(0, 2 * characters))
    .slice(0, characters)
    .join('');
}

/** The folder of a tree in one spelling: without a trailing slash; the root is empty. */
export function treeRoot(path: string): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === '/') end -= 1;
  return path.slice(0, end);
}

/** Whether a path is the root of the tree or lies below it, segment by segment. */
export function isInTree(root: string, path: string): boolean {
  return path === root || path.startsWith(`${root}/`);
}

/**
 * PostgreSQL cannot store NUL, and a lone surrogate would become the same U+FFFD as any other.
 * @throws HoldfastError `invalid_path`
 */
export function assertStorablePath(path: string): void {
  if (path.includes('\0') || !path.isWellFormed()) {
    throw new HoldfastError(
      'invalid_path',
      `The path ${JSON.stringify(path)} contains a NUL character or broken Unicode. Rename the file.`,
    );
  }
}
