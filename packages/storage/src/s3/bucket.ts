import { isRoot, parentOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { StorageEntry } from '../backend.ts';
import { PathLocks } from '../concurrency/path-locks.ts';
import { isAFileInTheWay } from '../path-rules/refusals.ts';
import { parseMarker } from '../volume/marker.ts';
import type { CallOptions, Connection } from './connection.ts';
import { fileEntry, folderEntry } from './entry.ts';
import { S3Failure, s3Error } from './failure.ts';
import { hasKeys } from './key-pages.ts';
import { Keys } from './keys.ts';
import { getSmall, headObject } from './objects.ts';
import type { StoredObject } from './objects.ts';
import type { PatienceKind } from './patience.ts';

/** What stands at a path. */
export interface Found {
  /** The object of the file. */
  object: StoredObject | undefined;
  /** There are keys below it, or its own empty object. */
  isFolder: boolean;
}

/** One backend's part of a bucket, and the proof that it is the right one. */
export class Bucket {
  readonly connection: Connection;
  readonly keys: Keys;
  readonly ownerId: string;
  readonly locks = new PathLocks();
  readonly #volumeId: string;
  readonly #cleaning = new Set<Promise<void>>();

  constructor(connection: Connection, volumeId: string, ownerId: string) {
    this.connection = connection;
    this.keys = new Keys(connection.place.prefix);
    this.#volumeId = volumeId;
    this.ownerId = ownerId;
  }

  /** Runs an operation; every failure of S3 in it becomes one of ours. Errors of a caller's source pass as they are. */
  async run<T>(
    doing: string,
    access: 'read' | 'write',
    signal: AbortSignal | undefined,
    action: () => Promise<T>,
  ): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw error instanceof S3Failure ? s3Error(error, doing, access, signal) : error;
    }
  }

  /** Cleans up, now or (when the server is away) in the background. It never fails: what stays is left to a sweep. */
  async cleanUp(
    what: string,
    cause: unknown,
    action: (patience: PatienceKind) => Promise<void>,
  ): Promise<void> {
    const isAway =
      isHoldfastError(cause, 'backend_unavailable') || (cause instanceof S3Failure && cause.isAmbiguous);
    const cleaning = action(isAway ? 'long' : 'brief')
      .catch((error: unknown) => {
        this.connection.logger?.warn({ err: error }, `${what} is left to the next sweep`);
      })
      .finally(() => this.#cleaning.delete(cleaning));
    this.#cleaning.add(cleaning);
    if (!isAway) await cleaning;
  }

  /** Resolves when nothing is cleaned up any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#cleaning);
  }

  /**
   * @throws HoldfastError `backend_unavailable` when the marker is missing or damaged, `wrong_volume` when it is another's
   */
  async requireMarker(options: CallOptions): Promise<void> {
    try {
      await this.#checkMarker(options);
    } catch (error) {
      // Without TLS nothing protects an answer on its way: a second look, before it is told that the volume is wrong.
      if (!isHoldfastError(error)) throw error;
      await this.#checkMarker(options);
    }
  }

  async #checkMarker(options: CallOptions): Promise<void> {
    const { bucket } = this.connection.place;
    const text = await getSmall(this.connection, this.keys.marker, options);
    if (text === undefined) {
      throw new HoldfastError(
        'backend_unavailable',
        `The bucket ${bucket} has no marker ${this.keys.marker}, so this is not the volume of this backend. ` +
          'Look at config.bucket and config.prefix. Nothing was written.',
      );
    }
    const marker = parseMarker(text.toString(), `${bucket}/${this.keys.marker}`);
    if (marker.volumeId === this.#volumeId) return;
    throw new HoldfastError(
      'wrong_volume',
      `Another volume is in the bucket ${bucket} under ${this.keys.marker}: its marker says ${marker.volumeId}, this ` +
        `backend belongs to ${this.#volumeId}. Look at config.bucket and config.prefix, or set the backend up anew.`,
    );
  }

  /** The object of a file; undefined also for the root. */
  async objectAt(path: BackendPath, options: CallOptions): Promise<StoredObject | undefined> {
    if (isRoot(path)) return undefined;
    return headObject(this.connection, this.keys.ofFile(path), options);
  }

  async isFolder(path: BackendPath, options: CallOptions): Promise<boolean> {
    return isRoot(path) || hasKeys(this.connection, this.keys.ofFolder(path), options);
  }

  async find(path: BackendPath, options: CallOptions): Promise<Found> {
    const [object, isFolder] = await Promise.all([
      this.objectAt(path, options),
      this.isFolder(path, options),
    ]);
    return { object, isFolder };
  }

  /**
   * What stands at a path that is to be written, after the marker was checked and that no file stands where the path
   * has a folder. One round trip, whatever the depth.
   * @throws HoldfastError `backend_unavailable`, `wrong_volume`, `not_a_directory`
   */
  async findForWriting(path: BackendPath, options: CallOptions): Promise<Found> {
    const folders: BackendPath[] = [];
    for (let folder = parentOf(path); !isRoot(folder); folder = parentOf(folder)) folders.push(folder);
    const [, found, files] = await Promise.all([
      this.requireMarker(options),
      this.find(path, options),
      Promise.all(folders.map((folder) => this.objectAt(folder, options))),
    ]);
    const inTheWay = folders.find((_, index) => files[index] !== undefined);
    if (inTheWay === undefined) return found;
    throw isAFileInTheWay(inTheWay);
  }

  /** The error for a read that found nothing: nothing there, or not our bucket? */
  async notFound(path: BackendPath, options: CallOptions): Promise<HoldfastError> {
    await this.requireMarker(options);
    return new HoldfastError('file_not_found', `There is no file or folder at ${path}.`);
  }
}

/** The entry of what a write would replace; where a file and keys below it have one name, the file counts. */
export function entryOrNull(path: BackendPath, { object, isFolder }: Found): StorageEntry | null {
  if (object !== undefined) return fileEntry(path, object);
  return isFolder ? folderEntry(path) : null;
}
