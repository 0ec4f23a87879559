import { CoalescedSync } from '@holdfast/bytes/coalesced-sync';
import { syncFolder } from '@holdfast/bytes/durable-folder';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { constants } from 'node:fs';
import { lstat, open, statfs, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { noSuchUpload, UPLOADS_FOLDER } from '../../contents/content-names.ts';
import { KeptOpen } from '../../contents/kept-open.ts';
import type { Borrowed } from '../../contents/kept-open.ts';
import type { FolderHandle } from '../folder-handle.ts';
import type { Volume } from '../volume.ts';

/** The type that statfs(2) tells for NFS. */
const NFS_SUPER_MAGIC = 0x6969;

/** The staged files of the uploads of a volume, and their descriptors. */
export class StagedFiles implements AsyncDisposable {
  readonly volume: Volume;
  readonly #written = new KeptOpen((id) => this.#open(id, constants.O_RDWR));
  readonly #read = new KeptOpen((id) => this.#openPastCache(id));
  readonly #folderSync = new CoalescedSync(() => this.#syncFolder());
  /** Which file a descriptor is of. */
  readonly #identities = new WeakMap<FileHandle, string>();

  constructor(volume: Volume) {
    this.volume = volume;
  }

  /** Opens the folder of the staged files, after a look at the marker of the volume. */
  async enter(): Promise<FolderHandle> {
    await using root = await this.volume.enter();
    return await this.volume.openReserved(root, UPLOADS_FOLDER);
  }

  /** Bytes that a staged file has. @throws HoldfastError `file_not_found`, `backend_unavailable`, `wrong_volume` */
  async size(id: string): Promise<number> {
    return (await this.#look(id)).size;
  }

  /**
   * Borrows the file for writing, after a look whether it is still there and the one that is open: bytes must not be
   * acknowledged that went into a file without a name.
   */
  async borrowChecked(id: string): Promise<Borrowed<FileHandle>> {
    const { identity } = await this.#look(id);
    const borrowed = await this.#written.borrow(id);
    if (this.#identities.get(borrowed.file) === identity) return borrowed;
    await this.#written.drop(id);
    await borrowed[Symbol.asyncDispose]();
    return this.#written.borrow(id);
  }

  async borrow(id: string): Promise<Borrowed<FileHandle>> {
    return this.#written.borrow(id);
  }

  /** For reading what the storage has: of a tree that is not on this machine, that is not what the page cache has. */
  async borrowToRead(id: string): Promise<Borrowed<FileHandle>> {
    return this.volume.verifyStaged === undefined ? this.#written.borrow(id) : this.#read.borrow(id);
  }

  /** Makes the names of the staged files durable. */
  async syncNames(): Promise<void> {
    await this.#folderSync.cover();
  }

  /** Closes what is open of an upload, as soon as nobody uses it. */
  async close(id: string): Promise<void> {
    await Promise.all([this.#written.drop(id), this.#read.drop(id)]);
  }

  /** Removes a staged file; false when there is none. */
  async remove(id: string): Promise<boolean> {
    await this.close(id);
    await using folder = await this.enter();
    try {
      await unlink(folder.child(id));
      return true;
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return false;
      throw fileSystemError(error, `Removing the staged bytes of the upload ${id}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#written[Symbol.asyncDispose](), this.#read[Symbol.asyncDispose]()]);
  }

  async #look(id: string): Promise<{ size: number; identity: string }> {
    await using folder = await this.enter();
    try {
      const stats = await lstat(folder.child(id));
      if (!stats.isFile()) throw noSuchUpload(id);
      return { size: stats.size, identity: `${stats.dev}-${stats.ino}` };
    } catch (error) {
      throw problemOf(id, error);
    }
  }

  async #open(id: string, flags: number): Promise<FileHandle> {
    await using folder = await this.enter();
    let handle: FileHandle | undefined;
    try {
      handle = await open(folder.child(id), flags | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      const { dev, ino } = await handle.stat();
      this.#identities.set(handle, `${dev}-${ino}`);
      return handle;
    } catch (error) {
      await handle?.close();
      throw problemOf(id, error);
    }
  }

  /** NFS takes any buffer past the cache; file systems that want an aligned one, which Node does not have, are local. */
  async #openPastCache(id: string): Promise<FileHandle> {
    await using folder = await this.enter();
    const { type } = await statfs(folder.path);
    return await this.#open(id, constants.O_RDONLY | (type === NFS_SUPER_MAGIC ? constants.O_DIRECT : 0));
  }

  async #syncFolder(): Promise<void> {
    await using folder = await this.enter();
    try {
      await syncFolder(folder.path);
    } catch (error) {
      throw fileSystemError(error, `Making the names of the uploads of ${this.volume.root} durable`);
    }
  }
}

function problemOf(id: string, error: unknown): Error {
  if (errnoOf(error) === 'ENOENT') return noSuchUpload(id, error);
  return fileSystemError(error, `Opening the staged bytes of the upload ${id}`);
}
