import { isRoot, parentOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { EMPTY_SHA256 } from '@holdfast/bytes/sha256';
import type { StorageEntry } from '../backend.ts';
import { existsAlready } from '../path-rules/refusals.ts';
import type { Bucket } from './bucket.ts';
import { folderEntry } from './entry.ts';
import { putObject } from './objects.ts';

/**
 * Makes a folder and its missing parents: for each an empty object whose key ends with a slash, as consoles of S3 do,
 * so that it stays when it is empty.
 * @throws HoldfastError `already_exists`, `not_a_directory`
 */
export async function makeFolder(bucket: Bucket, path: BackendPath): Promise<StorageEntry> {
  if (isRoot(path)) throw existsAlready(path);
  const doing = `Making the folder ${path}`;
  return bucket.run(doing, 'write', undefined, () =>
    bucket.locks.hold([path], async () => {
      const call = { doing };
      const { object, isFolder } = await bucket.findForWriting(path, call);
      if (object !== undefined || isFolder) throw existsAlready(path);
      const missing = [path];
      for (let folder = parentOf(path); !isRoot(folder); folder = parentOf(folder)) {
        if (await bucket.isFolder(folder, call)) break;
        missing.push(folder);
      }
      for (const folder of missing.toReversed()) {
        const key = bucket.keys.ofFolder(folder);
        await putObject(bucket.connection, key, new Uint8Array(0), EMPTY_SHA256, {}, call);
      }
      return folderEntry(path);
    }),
  );
}
