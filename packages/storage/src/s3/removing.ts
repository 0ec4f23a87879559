import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { folderNotEmpty, nothingToRemove, refuseRoot } from '../path-rules/refusals.ts';
import type { Bucket } from './bucket.ts';
import type { CallOptions } from './connection.ts';
import { FolderCount } from './folder-count.ts';
import { eachKeyPage, listKeys } from './key-pages.ts';
import { deleteObject, deleteObjects } from './objects.ts';

/**
 * Removes a file, an empty folder, or with `recursive` everything below a folder, in batches of 1000 keys. A folder
 * without an empty object of its own is gone with the last file in it.
 * @returns files removed, and folders that their keys told of
 */
export async function removeEntry(
  bucket: Bucket,
  path: BackendPath,
  options: { recursive?: boolean; signal?: AbortSignal },
): Promise<number> {
  refuseRoot(path, 'removed');
  const doing = `Removing ${path}`;
  const { signal } = options;
  throwIfCancelled(signal, doing);
  return bucket.run(doing, 'write', signal, () =>
    bucket.locks.hold([path], async () => {
      const call = { doing, signal };
      const [, object] = await Promise.all([bucket.requireMarker(call), bucket.objectAt(path, call)]);
      if (object !== undefined) {
        await deleteObject(bucket.connection, bucket.keys.ofFile(path), call);
        return 1;
      }
      if (options.recursive === true) return removeTree(bucket, path, call);
      await removeEmptyFolder(bucket, path, call);
      return 1;
    }),
  );
}

async function removeEmptyFolder(bucket: Bucket, path: BackendPath, call: CallOptions): Promise<void> {
  const own = bucket.keys.ofFolder(path);
  const { items } = await listKeys(bucket.connection, { prefix: own, limit: 2 }, call);
  if (items.length === 0) throw nothingToRemove(path);
  if (items.some(({ key }) => key !== own)) {
    throw folderNotEmpty(path);
  }
  await deleteObject(bucket.connection, own, call);
}

async function removeTree(bucket: Bucket, path: BackendPath, call: CallOptions): Promise<number> {
  const prefix = bucket.keys.ofFolder(path);
  const folders = new FolderCount();
  let files = 0;
  let keysSeen = 0;
  for await (const items of eachKeyPage(bucket.connection, { prefix }, call)) {
    throwIfCancelled(call.signal, call.doing);
    keysSeen += items.length;
    for (const { key } of items) {
      folders.see(key.slice(prefix.length));
      if (!key.endsWith('/')) files += 1;
    }
    const keys = items.map(({ key }) => key);
    await deleteObjects(bucket.connection, keys, call);
  }
  if (keysSeen === 0) throw nothingToRemove(path);
  return files + folders.count + 1;
}
