import { constants } from 'node:fs';
import { lstat, open, rename, statfs } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { syncFolder } from '@holdfast/bytes/durable-folder';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { renameIfFree } from '@holdfast/bytes/rename-if-free';
import type { ByteRange } from '@holdfast/bytes/ranges';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import { withRange } from '../byte-ranges.ts';
import type { RemoteFile } from './download-source.ts';
import { readJournal, removeIfThere, writeJournal } from './file-journal.ts';

/** Bytes that are written before they are made durable and noted down, and the time in milliseconds that may take. */
const CHECKPOINT_BYTES = 64 * 1024 * 1024;
const CHECKPOINT_MS = 2000;
const MOST_NAME_BYTES = 255;

const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;
/** Parts that this process has open: two downloads to one name would write into each other. */
const openParts = new Set<string>();

export interface PartPlace {
  /** The path that the whole file gets. */
  target: string;
  /** Folder of the journal. Default: that of the target. */
  stateDir?: string | undefined;
  /** What is being fetched, and from where. */
  source: string;
  /** Permission bits. Default 0666, cut by the umask. */
  mode?: number | undefined;
}

/** The hidden file beside the target that takes the bytes until all are there, and its journal. */
export class FilePart implements AsyncDisposable {
  readonly #place: PartPlace;
  readonly #path: string;
  readonly #journalPath: string;
  #handle: FileHandle | undefined;
  #inode = '';
  #remote: RemoteFile | undefined;
  #ranges: ByteRange[] = [];
  #unnoted = 0;
  #notedAt = 0;
  #noting: Promise<void> | undefined;

  private constructor(place: PartPlace) {
    const name = basename(place.target);
    const short = Buffer.byteLength(name) + 32 > MOST_NAME_BYTES ? sha256Hex(name).slice(0, 32) : name;
    this.#place = place;
    this.#path = join(dirname(place.target), `.${short}.holdfast-part`);
    this.#journalPath =
      place.stateDir === undefined
        ? `${this.#path}.json`
        : join(place.stateDir, `download-${sha256Hex(place.target).slice(0, 32)}.json`);
  }

  /**
   * Takes up what an earlier attempt has left, if it can be used.
   * @throws HoldfastError `conflict` while this process downloads to the same name; those of the file system
   */
  static async open(place: PartPlace): Promise<FilePart> {
    const part = new FilePart(place);
    if (openParts.has(part.#path)) {
      throw new HoldfastError(
        'conflict',
        `Another download to ${place.target} is under way. Wait for its end.`,
      );
    }
    openParts.add(part.#path);
    try {
      await part.onDisk(part.#takeUp());
    } catch (error) {
      await part[Symbol.asyncDispose]();
      throw error;
    }
    return part;
  }

  /** The state of the file whose bytes are here. Undefined before `begin`, when nothing was left by an earlier attempt. */
  get remote(): RemoteFile | undefined {
    return this.#remote;
  }

  /** Bytes that are there: in order, apart. */
  get ranges(): readonly ByteRange[] {
    return this.#ranges;
  }

  /** The open file. Not before `begin`, when nothing was left by an earlier attempt. */
  get handle(): FileHandle {
    if (this.#handle === undefined) throw new TypeError('The part is not open.');
    return this.#handle;
  }

  /**
   * Begins with no bytes; whatever stands under the name of the part is removed, never followed.
   * @throws HoldfastError `storage_full` when the file cannot fit; those of the file system
   */
  async begin(remote: RemoteFile): Promise<void> {
    await this.onDisk(this.#begin(remote));
  }

  /** Notes that bytes were written, and makes them durable from time to time, behind the caller. */
  written(range: ByteRange): void {
    this.#ranges = withRange(this.#ranges, range);
    this.#unnoted += range.end - range.start;
    if (this.#noting !== undefined) return;
    if (this.#unnoted < CHECKPOINT_BYTES && performance.now() - this.#notedAt < CHECKPOINT_MS) return;
    const noting = this.checkpoint();
    // A failure is met by the next write or by the end; here it only must not go unhandled.
    this.#noting = noting.finally(() => (this.#noting = undefined));
    this.#noting.catch(() => undefined);
  }

  /** Makes what was written durable and notes it down, so that a later attempt goes on from here. */
  async checkpoint(): Promise<void> {
    const remote = this.#remote;
    // Without a validator nobody could tell whether the rest is of the same file.
    if (remote === undefined || (remote.etag ?? remote.lastModified) === undefined) return;
    const ranges = this.#ranges;
    this.#unnoted = 0;
    this.#notedAt = performance.now();
    await this.onDisk(this.handle.datasync());
    const journal = { version: 1, source: this.#place.source, remote, inode: this.#inode, ranges } as const;
    await this.onDisk(writeJournal(this.#journalPath, journal));
  }

  /** Waits for a checkpoint under way. Never throws. */
  async settled(): Promise<void> {
    await this.#noting?.catch(() => undefined);
  }

  /**
   * Gives the whole file its name, durably.
   * @throws HoldfastError `already_exists`, `conflict` when another program has put a file in place of the part, and those of
   *   the file system
   */
  async publish({ overwrite, mtime }: { overwrite: boolean; mtime?: Date | undefined }): Promise<void> {
    const { target, mode } = this.#place;
    await this.settled();
    if (mode !== undefined) await this.onDisk(this.handle.chmod(mode));
    if (mtime !== undefined) await this.onDisk(this.handle.utimes(mtime, mtime));
    await this.onDisk(this.handle.sync());
    await this.#requireOurs();
    await this.onDisk(overwrite ? rename(this.#path, target) : renameIfFree(this.#path, target));
    await this.onDisk(removeIfThere(this.#journalPath));
    await this.onDisk(syncFolder(dirname(target)));
  }

  /** Removes the part and its journal. */
  async discard(): Promise<void> {
    await this.settled();
    await this.onDisk(removeIfThere(this.#journalPath));
    await this.onDisk(removeIfThere(this.#path));
  }

  /** Closes the file; what is there stays for a later attempt. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.settled();
    await this.#handle?.close();
    this.#handle = undefined;
    openParts.delete(this.#path);
  }

  async #takeUp(): Promise<void> {
    const journal = await readJournal(this.#journalPath);
    if (journal === undefined) return;
    // Bytes known by their SHA-256 are the same wherever they come from; a date says nothing about another file.
    const isByContent = journal.remote.sha256 !== undefined && journal.remote.etag !== undefined;
    if (!isByContent && journal.source !== this.#place.source) return;
    let handle;
    try {
      handle = await open(this.#path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
    } catch (error) {
      if (['ENOENT', 'ELOOP', 'EISDIR', 'ENXIO'].includes(errnoOf(error) ?? '')) return;
      throw error;
    }
    const stats = await handle.stat({ bigint: true });
    const isOurs =
      stats.isFile() &&
      stats.nlink === 1n &&
      stats.ino.toString() === journal.inode &&
      stats.size === BigInt(journal.remote.size);
    if (!isOurs) {
      await handle.close();
      return;
    }
    this.#handle = handle;
    this.#inode = journal.inode;
    this.#remote = journal.remote;
    this.#ranges = journal.ranges;
    this.#notedAt = performance.now();
  }

  async #begin(remote: RemoteFile): Promise<void> {
    await this.settled();
    await this.#handle?.close();
    this.#handle = undefined;
    await removeIfThere(this.#journalPath);
    await removeIfThere(this.#path);
    await this.#requireSpace(remote.size);
    const flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
    this.#handle = await open(this.#path, flags, this.#place.mode ?? 0o666);
    await this.#handle.truncate(remote.size);
    this.#inode = (await this.#handle.stat({ bigint: true })).ino.toString();
    this.#remote = remote;
    this.#ranges = [];
    this.#unnoted = 0;
    this.#notedAt = performance.now();
  }

  /** Nothing but the very bytes that were verified may get the name. */
  async #requireOurs(): Promise<void> {
    const stats = await lstat(this.#path, { bigint: true }).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw fileSystemError(error, `Writing ${this.#place.target}`);
    });
    if (stats?.isFile() === true && stats.ino.toString() === this.#inode) return;
    const text = `The partial file of ${this.#place.target} was replaced by another program, maybe a second download. Try again when it has ended.`;
    throw new HoldfastError('conflict', text);
  }

  async #requireSpace(size: number): Promise<void> {
    const { bavail, bsize, blocks } = await statfs(dirname(this.#path));
    // Some file systems in user space do not tell.
    if (blocks === 0 || bavail * bsize >= size) return;
    const text = `There is no room for ${this.#place.target}: it has ${size} bytes, ${bavail * bsize} are free. Free some space, then try again.`;
    throw new HoldfastError('storage_full', text);
  }

  /** Waits for a step on this file; its failure is told as one of ours. */
  onDisk<T>(step: Promise<T>): Promise<T> {
    return step.catch((error: unknown) => {
      throw fileSystemError(error, `Writing ${this.#place.target}`);
    });
  }
}
