/** Locks by name within this process; waiters get them in the order in which they came. */
export class PathLocks {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs an action while holding the locks of these paths. Taken in sorted order, so that two holders never wait for each other. */
  async hold<T>(paths: readonly string[], action: () => Promise<T>): Promise<T> {
    const [first, ...rest] = [...new Set(paths)].toSorted();
    if (first === undefined) return action();
    return this.#holdOne(first, () => this.hold(rest, action));
  }

  async #holdOne<T>(path: string, action: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(path) ?? Promise.resolve();
    const { promise: tail, resolve: release } = Promise.withResolvers<void>();
    this.#tails.set(path, tail);
    await before;
    try {
      return await action();
    } finally {
      if (this.#tails.get(path) === tail) this.#tails.delete(path);
      release();
    }
  }
}
