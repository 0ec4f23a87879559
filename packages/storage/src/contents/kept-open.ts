/** Idle files that are kept open at most, of all backends together. */
const MAX_IDLE = 256;
/** Milliseconds after which an idle one is closed, so that a volume on which nobody works can be unmounted. */
const IDLE_MS = 2000;

interface Kept<File> {
  readonly opening: Promise<File>;
  users: number;
  isDropped: boolean;
  timer: NodeJS.Timeout | undefined;
}

/** Of the whole process, in the order in which they became idle. */
const idle = new Map<object, () => Promise<void>>();

/** An open file for as long as it is used. */
export interface Borrowed<File> extends AsyncDisposable {
  readonly file: File;
}

/** Open files by name: kept for a moment after their use, and opened again when they are needed again. */
export class KeptOpen<File extends AsyncDisposable> implements AsyncDisposable {
  readonly #open: (name: string) => Promise<File>;
  readonly #kept = new Map<string, Kept<File>>();
  readonly #closing = new Set<Promise<void>>();

  /** @param open opens the file of a name */
  constructor(open: (name: string) => Promise<File>) {
    this.#open = open;
  }

  /** The open file of a name. It stays open until it is disposed, also when it is dropped meanwhile. */
  async borrow(name: string): Promise<Borrowed<File>> {
    const kept = this.#kept.get(name) ?? this.#keep(name);
    kept.users += 1;
    clearTimeout(kept.timer);
    idle.delete(kept);
    try {
      const file = await kept.opening;
      return { file, [Symbol.asyncDispose]: () => this.#giveBack(name, kept) };
    } catch (error) {
      kept.users -= 1;
      if (this.#kept.get(name) === kept) this.#kept.delete(name);
      throw error;
    }
  }

  /** Closes a file as soon as nobody uses it. */
  async drop(name: string): Promise<void> {
    const kept = this.#kept.get(name);
    if (kept === undefined) return;
    this.#kept.delete(name);
    kept.isDropped = true;
    if (kept.users === 0) await this.#close(kept);
  }

  /** Closes all that nobody uses, and the others as soon as they are given back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#kept.keys()].map((name) => this.drop(name)));
    await Promise.all(this.#closing);
  }

  #keep(name: string): Kept<File> {
    const kept: Kept<File> = { opening: this.#open(name), users: 0, isDropped: false, timer: undefined };
    this.#kept.set(name, kept);
    return kept;
  }

  async #giveBack(name: string, kept: Kept<File>): Promise<void> {
    kept.users -= 1;
    if (kept.users > 0) return;
    if (kept.isDropped) {
      await this.#close(kept);
      return;
    }
    idle.set(kept, () => this.drop(name));
    kept.timer = setTimeout(() => void this.drop(name), IDLE_MS).unref();
    for (const dropOldest of idle.values()) {
      if (idle.size <= MAX_IDLE) break;
      await dropOldest();
    }
  }

  async #close(kept: Kept<File>): Promise<void> {
    clearTimeout(kept.timer);
    idle.delete(kept);
    // The bytes are durable already, or were never acknowledged: a close that fails loses nothing.
    const closing = kept.opening.then((file) => file[Symbol.asyncDispose]()).catch(() => undefined);
    this.#closing.add(closing);
    await closing;
    this.#closing.delete(closing);
  }
}
