import { RESERVED_FOLDER } from '@holdfast/bytes/backend-path';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import { readFile, realpath, stat } from 'node:fs/promises';
import { PathLocks } from '../concurrency/path-locks.ts';
import { MARKER_PATH, parseMarker } from '../volume/marker.ts';
import { STAGING_FOLDER } from '../volume/staging-slot.ts';
import { FolderHandle, openOrMake } from './folder-handle.ts';

/** Checks the bytes of a staged file by the path it has now, against what was computed from its source. */
export type VerifyStaged = (path: string, expected: { size: number; sha256: string }) => Promise<void>;

/** A root folder and the proof that the right volume is mounted there. */
export class Volume {
  readonly root: string;
  readonly ownerId: string;
  readonly locks = new PathLocks();
  readonly verifyStaged: VerifyStaged | undefined;
  readonly #volumeId: string;
  /** Identity of the marker file when its content was last read and found right. */
  #verifiedMarker: string | undefined;
  #realRoot: Promise<string> | undefined;

  constructor(root: string, volumeId: string, ownerId: string, verifyStaged?: VerifyStaged) {
    this.verifyStaged = verifyStaged;
    this.root = root;
    this.#volumeId = volumeId;
    this.ownerId = ownerId;
  }

  /** Opens the root as it is, without a look at its marker. @throws HoldfastError `backend_unavailable` */
  async openRoot(): Promise<FolderHandle> {
    return FolderHandle.open(this.root).catch((error: unknown) => {
      throw this.#rootProblem(error);
    });
  }

  /**
   * Opens the root and checks its marker. Everything after goes through the handle, so that it reaches this very
   * volume even when another one is mounted over the root meanwhile.
   * @throws HoldfastError `backend_unavailable` when root or marker are missing, `wrong_volume` for another volume
   */
  async enter(): Promise<FolderHandle> {
    const root = await this.openRoot();
    try {
      await this.#checkMarker(root);
      return root;
    } catch (error) {
      await root[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Opens the staging folder of an entered volume; it is made again when somebody removed it. */
  async openStaging(root: FolderHandle): Promise<FolderHandle> {
    return this.openReserved(root, STAGING_FOLDER);
  }

  /** Opens a folder of the reserved area of an entered volume; it is made when it is missing. */
  async openReserved(root: FolderHandle, name: string): Promise<FolderHandle> {
    try {
      await using reserved = await FolderHandle.open(root.child(RESERVED_FOLDER), { noFollow: true });
      return await openOrMake(reserved, name);
    } catch (error) {
      throw fileSystemError(error, `Opening the folder ${RESERVED_FOLDER}/${name} of ${this.root}`);
    }
  }

  /** The root for reads, which do without a handle: its path, and its real path as last seen. */
  async readingRoot(): Promise<{ path: string; realPath: string }> {
    this.#realRoot ??= realpath(this.root);
    try {
      return { path: this.root, realPath: await this.#realRoot };
    } catch (error) {
      this.#realRoot = undefined;
      throw this.#rootProblem(error);
    }
  }

  /** Looks the real path of the root up again, as after the root was a symlink that now points elsewhere. */
  forgetRealRoot(): void {
    this.#realRoot = undefined;
  }

  async #checkMarker(root: FolderHandle): Promise<void> {
    const path = root.child(MARKER_PATH);
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
      const seen = `${dev}-${ino}-${size}-${mtimeNs}-${ctimeNs}`;
      if (seen === this.#verifiedMarker) return;
      const marker = parseMarker(await readFile(path, 'utf8'), `${this.root}/${MARKER_PATH}`);
      if (marker.volumeId !== this.#volumeId) {
        throw new HoldfastError(
          'wrong_volume',
          `Another volume is mounted at ${this.root}: its marker says ${marker.volumeId}, this backend belongs to ` +
            `${this.#volumeId}. Mount the right disk there, or set the backend up anew.`,
        );
      }
      this.#verifiedMarker = seen;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') {
        throw fileSystemError(error, `Reading the marker ${this.root}/${MARKER_PATH}`, 'read');
      }
      throw new HoldfastError(
        'backend_unavailable',
        `${this.root} has no marker file ${MARKER_PATH}, so this is not the volume of this backend. ` +
          'Is the disk mounted? Nothing was written.',
        { cause: error },
      );
    }
  }

  #rootProblem(error: unknown): HoldfastError {
    const errno = errnoOf(error);
    if (errno !== 'ENOENT' && errno !== 'ENOTDIR')
      return fileSystemError(error, `Opening ${this.root}`, 'read');
    const text = `The folder ${this.root} of this backend is gone. Is the disk mounted? Nothing is made in its place.`;
    return new HoldfastError('backend_unavailable', text, { cause: error });
  }
}
