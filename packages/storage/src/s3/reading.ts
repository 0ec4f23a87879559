import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import type { StorageEntry } from '../backend.ts';
import { isAFolder } from '../path-rules/refusals.ts';
import type { Bucket } from './bucket.ts';
import type { Cdn } from './cdn.ts';
import { fileEntry, folderEntry } from './entry.ts';
import type { StoredObject } from './objects.ts';
import { S3File } from './open-file.ts';

/** The object at a path, or `folder`. @throws HoldfastError `file_not_found`, `backend_unavailable`, `wrong_volume` */
async function look(
  bucket: Bucket,
  path: BackendPath,
  doing: string,
  signal: AbortSignal | undefined,
): Promise<StoredObject | 'folder'> {
  const call = { doing, signal };
  const object = await bucket.objectAt(path, call);
  if (object !== undefined) return object;
  if (await bucket.isFolder(path, call)) {
    // The root is there by definition, the bucket is not.
    if (path === '/') await bucket.requireMarker(call);
    return 'folder';
  }
  throw await bucket.notFound(path, call);
}

/** What is at a path. Where a file and keys below it share a name, it is the file. */
export async function statPath(
  bucket: Bucket,
  path: BackendPath,
  signal: AbortSignal | undefined,
): Promise<StorageEntry> {
  const doing = `Looking at ${path}`;
  throwIfCancelled(signal, doing);
  return bucket.run(doing, 'read', signal, async () => {
    const found = await look(bucket, path, doing, signal);
    return found === 'folder' ? folderEntry(path) : fileEntry(path, found);
  });
}

/** Opens one version of a file. */
export async function openFile(
  bucket: Bucket,
  cdn: Cdn | undefined,
  path: BackendPath,
  signal: AbortSignal | undefined,
): Promise<S3File> {
  const doing = `Opening ${path}`;
  throwIfCancelled(signal, doing);
  return bucket.run(doing, 'read', signal, async () => {
    const found = await look(bucket, path, doing, signal);
    if (found === 'folder') throw isAFolder(path);
    return new S3File(bucket, cdn, { path, key: bucket.keys.ofFile(path) }, found);
  });
}
