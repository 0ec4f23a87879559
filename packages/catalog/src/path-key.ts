import { hash } from 'node:crypto';
import { HoldfastError } from '@holdfast/contract/errors';

const SORT_PREFIX_CHARACTERS = 512;

/** The primary key of a path: its SHA-256 in lower-case hex. */
export function pathKey(path: string): string {
  return hash('sha256', path, 'hex');
}

/** The characters of a path that the index `checksums_tree` orders by: `substr(path, 1, 512)`. */
export function sortPrefix(path: string): string {
  if (path.length <= SORT_PREFIX_CHARACTERS) return path;
  // A character is at most two code units.
  const characters = Array.from(path.slice(0, 2 * SORT_PREFIX_CHARACTERS));
  return characters.slice(0, SORT_PREFIX_CHARACTERS).join('');
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
