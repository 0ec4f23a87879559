import { isRoot, MAX_PATH_BYTES, parseBackendPath } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';

/** A child of a folder, and its path. */
export interface Listed<C> {
  path: BackendPath;
  child: C;
}

/** How a tree is read, folder by folder. */
export interface TreeReading<C> {
  /** Whether the walk goes into a child: a folder, and not a symlink to one. */
  isWalked: (child: C) => boolean;
  /** What is in a folder, by name in code units; nothing when it has vanished or may not be looked into. */
  readBelow: (folder: BackendPath) => Promise<readonly C[]>;
}

/**
 * The children of a folder behind a path, in their order. A name that would make the path too long is left out.
 * @param children by name in code units
 */
export function* childrenAfter<C extends { name: string }>(
  folder: BackendPath,
  children: readonly C[],
  after: BackendPath | undefined,
): Generator<Listed<C>> {
  for (const child of children) {
    const path = pathOfChild(folder, child.name);
    if (path !== undefined && (after === undefined || path > after)) yield { path, child };
  }
}

/**
 * The tree below a folder, behind a path, in the order of paths by code units. A folder `a` and its contents `a/…` are
 * sorted apart among the names beside it, because `a-b` comes between them. Only what is in the folders on the way down
 * is held in memory, and folders that are before the path as a whole are not read.
 * @param children of the folder itself
 */
export async function* treeAfter<C extends { name: string }>(
  folder: BackendPath,
  children: readonly C[],
  reading: TreeReading<C>,
  after: BackendPath | undefined,
): AsyncGenerator<Listed<C>> {
  const steps = children.flatMap((child) => {
    const own = { key: child.name, child, inside: false };
    return reading.isWalked(child) ? [own, { key: `${child.name}/`, child, inside: true }] : [own];
  });
  steps.sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const { child, inside } of steps) {
    const path = pathOfChild(folder, child.name);
    if (path === undefined) continue;
    if (!inside) {
      if (after === undefined || path > after) yield { path, child };
      continue;
    }
    const contents = `${path}/`;
    const isPast = after !== undefined && contents < after && !after.startsWith(contents);
    if (!isPast) yield* treeAfter(path, await reading.readBelow(path), reading, after);
  }
}

function pathOfChild(parent: BackendPath, name: string): BackendPath | undefined {
  const path = isRoot(parent) ? `/${name}` : `${parent}/${name}`;
  return Buffer.byteLength(path) <= MAX_PATH_BYTES ? parseBackendPath(path) : undefined;
}
