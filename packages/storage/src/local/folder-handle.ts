import { syncFolder } from '@holdfast/bytes/durable-folder';
import { errnoOf } from '@holdfast/bytes/file-system-error';
import { constants, existsSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readlink, realpath } from 'node:fs/promises';

const descriptorFolder = '/proc/self/fd';
/** Whether names can be reached through an open descriptor (Linux); elsewhere real paths stand in for it. */
const hasDescriptorPaths = process.platform === 'linux' && existsSync(descriptorFolder);

/** The real path of what is open under a descriptor; elsewhere than on Linux, of the path it was opened by. */
export async function realPathOf(fd: number, openedBy: string | Buffer): Promise<string> {
  return hasDescriptorPaths ? readlink(`${descriptorFolder}/${fd}`) : realpath(openedBy);
}

/**
 * An open folder. Names below it are reached through the descriptor, so that a folder which is swapped for a symlink
 * meanwhile cannot redirect an operation: the stand-in for `openat` and its kind, which Node does not have.
 */
export class FolderHandle implements AsyncDisposable {
  /** Where the folder was when it was opened, with every symlink resolved. */
  readonly realPath: string;
  /** A path to hand to file functions; holds while the handle is open. */
  readonly path: string;
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle, realPath: string) {
    this.#handle = handle;
    this.realPath = realPath;
    this.path = hasDescriptorPaths ? `${descriptorFolder}/${handle.fd}` : realPath;
  }

  /** Opens a folder. Throws the system's error: ENOENT, ENOTDIR; with `noFollow`, ENOTDIR or ELOOP for a symlink. */
  static async open(path: string | Buffer, options: { noFollow?: boolean } = {}): Promise<FolderHandle> {
    const follow = options.noFollow === true ? constants.O_NOFOLLOW : 0;
    // O_NONBLOCK: a FIFO that has taken the folder's place must not hold the call.
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NONBLOCK | follow;
    const handle = await open(path, flags);
    try {
      return new FolderHandle(handle, await realPathOf(handle.fd, path));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** The path of a name (or of a relative path) below this folder. */
  child(name: string): string {
    return `${this.path}/${name}`;
  }

  /** As `child`, for the raw bytes of a name that may not be valid UTF-8. */
  rawChild(name: Buffer): Buffer {
    return Buffer.concat([Buffer.from(`${this.path}/`), name]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

/** Opens a folder of the reserved area by its name; it is made, durably, when it is missing. Throws the system's errors. */
export async function openOrMake(parent: FolderHandle, name: string): Promise<FolderHandle> {
  const path = parent.child(name);
  return FolderHandle.open(path, { noFollow: true }).catch(async (error: unknown) => {
    if (errnoOf(error) !== 'ENOENT') throw error;
    await mkdir(path, { mode: 0o700 }).catch((problem: unknown) => {
      if (errnoOf(problem) !== 'EEXIST') throw problem;
    });
    await syncFolder(parent.path);
    return FolderHandle.open(path, { noFollow: true });
  });
}
