import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { Capabilities, StorageBackend } from './backend.ts';
import { Bucket } from './s3/bucket.ts';
import { Cdn } from './s3/cdn.ts';
import { parseS3Config } from './s3/config.ts';
import type { S3Config } from './s3/config.ts';
import { Connection } from './s3/connection.ts';
import type { S3Logger } from './s3/connection.ts';
import { copyFile } from './s3/copying.ts';
import { listFolder } from './s3/listing.ts';
import { makeFolder } from './s3/making-folders.ts';
import { moveEntry } from './s3/moving.ts';
import { probeBucket } from './s3/probing.ts';
import { openFile, statPath } from './s3/reading.ts';
import { removeEntry } from './s3/removing.ts';
import { sweepStaging } from './s3/sweeping.ts';
import { contentArea } from './s3/vault/vault.ts';
import { writeFile } from './s3/writing.ts';
import { Spool } from './spool/spool.ts';

export { prepareS3 } from './s3/prepare.ts';
export type { S3Config } from './s3/config.ts';

export interface S3BackendOptions extends S3Config {
  /** The id in the marker of the volume that belongs here. */
  volumeId: string;
  /** Marks what this hub stages, so that a sweep tells its own from others'. */
  ownerId: string;
  /** Where failures are told that end nothing: a CDN that is passed over, leftovers for the next sweep. */
  logger?: S3Logger;
  /** Time without progress after which the server counts as dead, in milliseconds. Default 30,000. */
  timeoutMs?: number;
  /**
   * A folder of this hub and backend alone, for bytes on their way: what S3 does not take as it comes is gathered there.
   * Without it there is no `contents`.
   */
  spoolDir?: string;
  /** Bytes that lie in `spoolDir` at most. Default 4 GiB. */
  spoolBytes?: number;
}

/** A backend as it is for a bucket: it can tell neither its usage nor, cheaply, how many children a folder has. */
export type S3Backend = StorageBackend & Required<Pick<StorageBackend, 'move' | 'copy' | 'makeFolder'>>;

const capabilities: Capabilities = {
  writable: true,
  move: true,
  moveInSteps: true,
  copy: true,
  folders: true,
  usage: false,
  positionalRead: false,
};

/**
 * A bucket of an S3 service (or a part of it, with `prefix`) as a backend. Nothing is loaded or connected before it is
 * used; after trouble it connects again by itself.
 *
 * Folders are the common beginnings of keys; `makeFolder` puts an empty object `path/` there, as consoles of S3 do.
 * `move` is a copy on the server and a removal, so it is not atomic.
 *
 * @throws HoldfastError `validation_failed` for a configuration that `prepareS3` would refuse by its form
 */
export function createS3Backend(options: S3BackendOptions): S3Backend {
  const place = parseS3Config(options);
  const connection = new Connection(place, options.timeoutMs ?? 30_000, options.logger);
  const bucket = new Bucket(connection, options.volumeId, options.ownerId);
  const cdn = place.cdnUrl === undefined ? undefined : new Cdn(place.cdnUrl, connection.limitMs);
  const { spoolDir: folder, spoolBytes: limitBytes } = options;
  const contents =
    folder === undefined ? undefined : contentArea(bucket, cdn, new Spool({ folder, limitBytes }));
  return {
    type: 's3',
    capabilities,
    probe: (probe) => probeBucket(bucket, cdn, probe?.signal),
    stat: (path, stat) => statPath(bucket, path, stat?.signal),
    list: (path, list) => listFolder(bucket, path, list ?? {}),
    open: (path, open) => openFile(bucket, cdn, path, open?.signal),
    write: (path, source, write) => writeFile(bucket, path, source, write ?? {}),
    remove: (path, remove) => removeEntry(bucket, path, remove ?? {}),
    move: (from: BackendPath, to: BackendPath, move) => moveEntry(bucket, from, to, move ?? {}),
    copy: (from: BackendPath, to: BackendPath, copy) => copyFile(bucket, from, to, copy ?? {}),
    makeFolder: (path) => makeFolder(bucket, path),
    ...(contents === undefined ? {} : { contents }),
    sweep: () => sweepStaging(bucket),
    [Symbol.asyncDispose]: async () => {
      await contents?.[Symbol.asyncDispose]();
      await connection[Symbol.asyncDispose]();
      await Promise.all([bucket.settled(), cdn?.[Symbol.asyncDispose]()]);
    },
  };
}
