import { makeFolderDurably, syncFolder } from '@holdfast/bytes/durable-folder';
import { cancellationOf, throwIfCancelled } from '@holdfast/bytes/cancellation';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import { randomUUID } from 'node:crypto';
import { readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { isUploadId } from '../contents/content-names.ts';
import { SpoolFile } from './spool-file.ts';

export interface SpoolOptions {
  /** Absolute; below the hub's data directory, and of this backend alone. Made when it is first used. */
  folder: string;
  /** Bytes that lie there at most. Default 4 GiB. */
  limitBytes?: number | undefined;
  /** Bytes of the disk that are left to others. Default 256 MiB. */
  keepFreeBytes?: number | undefined;
  /** Milliseconds that a caller waits for room. Default 5,000. */
  waitMs?: number | undefined;
}

export interface RoomOptions {
  /** The upload that the bytes belong to; what it holds is given back at once with `removeUpload`. */
  owner?: string | undefined;
  /** What is done, as a gerund, for errors. */
  doing: string;
  signal?: AbortSignal | undefined;
}

interface Waiter {
  bytes: number;
  owner: string | undefined;
  letIn: () => void;
}

const gib = 1024 ** 3;
/** The disk is looked at again after this many bytes were taken, or this many milliseconds. */
const lookAfterBytes = 64 * 1024 ** 2;
const lookAfterMs = 1000;

/**
 * A folder of the hub for bytes on their way to a storage that takes them only in another form. Its room is bounded, and
 * is asked for before bytes are written.
 */
export class Spool {
  readonly folder: string;
  readonly limitBytes: number;
  readonly #keepFreeBytes: number;
  readonly #waitMs: number;
  readonly #owned = new Map<string, number>();
  readonly #evictable = new Set<() => void>();
  readonly #waiters: Waiter[] = [];
  #used = 0;
  #diskRoom = 0;
  #takenSinceLook = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #opened: Promise<void> | undefined;

  constructor(options: SpoolOptions) {
    this.folder = options.folder;
    this.limitBytes = options.limitBytes ?? 4 * gib;
    this.#keepFreeBytes = options.keepFreeBytes ?? 256 * 1024 ** 2;
    this.#waitMs = options.waitMs ?? 5000;
  }

  /** Bytes that are taken now. */
  get used(): number {
    return this.#used;
  }

  /** Makes the folder, and counts what an earlier run of the hub left there. */
  async open(): Promise<void> {
    this.#opened ??= this.#countLeft();
    try {
      await this.#opened;
    } catch (error) {
      this.#opened = undefined;
      throw fileSystemError(error, `Opening the hub's spool ${this.folder}`);
    }
  }

  /**
   * Takes room, waiting a moment for it; bytes that are kept only for convenience are let go first.
   * @throws HoldfastError `too_large` for more than there can ever be, `busy` when there is no room in time, `cancelled`
   */
  async take(bytes: number, options: RoomOptions): Promise<void> {
    const { owner, doing, signal } = options;
    if (bytes > this.limitBytes) {
      const text = `${doing} needs ${bytes} bytes of the hub's spool, which has room for ${this.limitBytes}.`;
      throw new HoldfastError('too_large', `${text} Send it in smaller chunks.`);
    }
    await this.open();
    await this.#lookAtDisk();
    throwIfCancelled(signal, doing);
    if (this.#waiters.length === 0 && this.#hasRoom(bytes)) {
      this.#count(bytes, owner);
      return;
    }
    await this.#waitForRoom(bytes, options);
  }

  /** Gives room back. */
  give(bytes: number, owner?: string): void {
    this.#used -= bytes;
    this.#diskRoom += bytes;
    if (owner !== undefined) this.#owned.set(owner, (this.#owned.get(owner) ?? 0) - bytes);
    this.#letIn();
  }

  /** Tells of bytes that `drop` lets go when somebody else needs their room. @returns takes that back */
  allowEviction(drop: () => void): () => void {
    this.#evictable.add(drop);
    return () => void this.#evictable.delete(drop);
  }

  /** A new file without a name; room for what goes into it is taken separately. */
  async newFile(): Promise<SpoolFile> {
    await this.open();
    return SpoolFile.openNameless(join(this.folder, `${randomUUID()}.tmp`));
  }

  /** Where the files of an upload are. */
  folderOf(id: string): string {
    return join(this.folder, id);
  }

  /** Makes the folder of an upload, durably. */
  async addUpload(id: string): Promise<void> {
    await this.open();
    await makeFolderDurably(this.folderOf(id), 0o700);
    await syncFolder(this.folder);
  }

  /** Removes all files of an upload, and gives their room back. */
  async removeUpload(id: string): Promise<void> {
    await this.open();
    await rm(this.folderOf(id), { recursive: true, force: true });
    this.give(this.#owned.get(id) ?? 0, id);
    this.#owned.delete(id);
  }

  /** Uploads that have a folder here, and when it was last changed. */
  async uploads(): Promise<{ id: string; touchedAt: Date }[]> {
    await this.open();
    const found: { id: string; touchedAt: Date }[] = [];
    for (const entry of await readdir(this.folder, { withFileTypes: true })) {
      if (!entry.isDirectory() || !isUploadId(entry.name)) continue;
      const files = await this.#filesOf(entry.name);
      if (files === undefined) continue;
      found.push({ id: entry.name, touchedAt: new Date(Math.max(...files.map((file) => file.mtimeMs))) });
    }
    return found;
  }

  /** The files of an upload and its folder, which counts for nothing; undefined when they have just been removed. */
  async #filesOf(id: string): Promise<{ size: number; mtimeMs: number }[] | undefined> {
    const folder = this.folderOf(id);
    try {
      const { mtimeMs } = await stat(folder);
      const names = await readdir(folder);
      return [{ size: 0, mtimeMs }, ...(await Promise.all(names.map((name) => stat(join(folder, name)))))];
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw fileSystemError(error, `Reading ${folder} of the hub's spool`, 'read');
    }
  }

  async #countLeft(): Promise<void> {
    await makeFolderDurably(this.folder, 0o700);
    for (const entry of await readdir(this.folder, { withFileTypes: true })) {
      if (!entry.isDirectory() || !isUploadId(entry.name)) {
        // A nameless file has a name only between two system calls.
        if (entry.isFile() && entry.name.endsWith('.tmp')) await rm(join(this.folder, entry.name));
        continue;
      }
      const files = (await this.#filesOf(entry.name)) ?? [];
      this.#count(
        files.reduce((sum, file) => sum + file.size, 0),
        entry.name,
      );
    }
  }

  #count(bytes: number, owner: string | undefined): void {
    this.#used += bytes;
    this.#diskRoom -= bytes;
    this.#takenSinceLook += bytes;
    if (owner !== undefined) this.#owned.set(owner, (this.#owned.get(owner) ?? 0) + bytes);
  }

  async #lookAtDisk(): Promise<void> {
    const isFresh = performance.now() - this.#lookedAt < lookAfterMs;
    if (isFresh && this.#takenSinceLook < lookAfterBytes) return;
    const { bavail, bsize } = await statfs(this.folder).catch((error: unknown) => {
      throw fileSystemError(error, `Looking at the disk of the hub's spool ${this.folder}`);
    });
    this.#diskRoom = bavail * bsize - this.#keepFreeBytes;
    this.#takenSinceLook = 0;
    this.#lookedAt = performance.now();
  }

  #hasRoom(bytes: number): boolean {
    return this.#used + bytes <= this.limitBytes && bytes <= this.#diskRoom;
  }

  #letIn(): void {
    for (let first = this.#waiters[0]; first !== undefined; first = this.#waiters[0]) {
      if (!this.#hasRoom(first.bytes)) {
        if (!this.#evictOne()) return;
        continue;
      }
      this.#waiters.shift();
      this.#count(first.bytes, first.owner);
      first.letIn();
    }
  }

  /** Lets the oldest bytes go that nobody needs. What it gives back lets waiters in by itself. */
  #evictOne(): boolean {
    const [drop] = this.#evictable;
    if (drop === undefined) return false;
    this.#evictable.delete(drop);
    drop();
    return true;
  }

  async #waitForRoom(bytes: number, { owner, doing, signal }: RoomOptions): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { bytes, owner, letIn: resolve };
    const leave = (error: HoldfastError): void => {
      const place = this.#waiters.indexOf(waiter);
      if (place === -1) return;
      this.#waiters.splice(place, 1);
      reject(error);
      this.#letIn();
    };
    const text = `${doing} found no room in the hub's spool: other uploads fill it. Try again in a moment.`;
    const timer = setTimeout(() => leave(new HoldfastError('busy', text)), this.#waitMs);
    const onAbort = (): void => leave(cancellationOf(signal, doing));
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiters.push(waiter);
    this.#letIn();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }
}
