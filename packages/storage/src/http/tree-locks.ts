import { isWithin } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';

interface Hold {
  paths: readonly BackendPath[];
  /** Everything below the paths is held too. */
  isTree: boolean;
  done: Promise<void>;
}

/**
 * Locks on paths within this process. WebDAV removes a folder with all that is in it, so whoever removes or moves a
 * folder must keep out those who are about to put something there. Holds that do not touch run side by side; those
 * that do run in the order in which they came, all paths of one at once, so that none waits for each other.
 */
export class TreeLocks {
  readonly #holds = new Set<Hold>();

  /** Runs an action alone on one path; with `tree` also alone on everything below these paths. */
  async hold<T>(paths: readonly BackendPath[], scope: 'path' | 'tree', action: () => Promise<T>): Promise<T> {
    const { promise: done, resolve: release } = Promise.withResolvers<void>();
    const own: Hold = { paths, isTree: scope === 'tree', done };
    const before = [...this.#holds].filter((other) => touch(own, other)).map((other) => other.done);
    this.#holds.add(own);
    try {
      await Promise.all(before);
      return await action();
    } finally {
      this.#holds.delete(own);
      release();
    }
  }
}

function touch(one: Hold, other: Hold): boolean {
  return one.paths.some((a) =>
    other.paths.some((b) => a === b || (one.isTree && isWithin(b, a)) || (other.isTree && isWithin(a, b))),
  );
}
