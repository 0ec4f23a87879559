import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import type { StorageEntry } from '../backend.ts';
import { destinationNotEmpty, requireDestination } from '../path-rules/relocating.ts';
import { entryOrNull } from './bucket.ts';
import type { Bucket, Found } from './bucket.ts';
import type { CallOptions } from './connection.ts';
import { copyObject } from './copying-objects.ts';
import { folderEntry } from './entry.ts';
import { eachKeyPage, listKeys } from './key-pages.ts';
import { deleteObjects, headObject } from './objects.ts';
import { runBounded } from './run-bounded.ts';

/** Keys of the largest folder that is moved: they are held in memory, so that a failed move can be taken back. */
const maxKeys = 100_000;
const parallelCopies = 8;

/**
 * Moves all keys of a folder: first all are copied, then the old ones are removed. When a copy fails, the copies made
 * so far are removed, and everything is as it was. A key that was changed meanwhile stays where it was, too.
 * @throws HoldfastError `already_exists`, `not_empty`, `not_a_directory`, `not_supported` (too many files), `conflict`
 */
export async function moveFolder(
  bucket: Bucket,
  from: BackendPath,
  to: BackendPath,
  target: Found,
  overwrite: boolean,
  call: CallOptions,
): Promise<StorageEntry> {
  await requireFree(bucket, from, to, target, overwrite, call);
  if (from === to) return folderEntry(to);
  const { connection, keys } = bucket;
  const oldPrefix = keys.ofFolder(from);
  const newPrefix = keys.ofFolder(to);
  const etags = await readKeys(bucket, from, oldPrefix, call);
  const made: string[] = [];
  try {
    await runBounded([...etags.keys()], parallelCopies, async (key) => {
      const copy = newPrefix + key.slice(oldPrefix.length);
      // The empty object of a folder that was there before is not to be taken back.
      if (copy !== newPrefix || !target.isFolder) made.push(copy);
      const source = await headObject(connection, key, call);
      if (source === undefined || source.etag !== etags.get(key)) throw changed(from);
      const { metadata } = source;
      const landed = async (): Promise<true | undefined> =>
        (await headObject(connection, copy, call))?.size === source.size ? true : undefined;
      await copyObject(bucket, { from: key, source, to: copy, metadata, ifAbsent: false }, call, landed);
    });
  } catch (error) {
    await bucket.cleanUp(`The copies below ${to} of a move that failed`, error, (patience) =>
      deleteObjects(connection, made, { doing: call.doing, patience }),
    );
    throw error;
  }
  await removeMoved(bucket, from, oldPrefix, etags, call);
  return folderEntry(to);
}

function changed(from: BackendPath): HoldfastError {
  const text = `${from} was changed while it was moved. Look at both folders, then try again.`;
  return new HoldfastError('conflict', text);
}

async function requireFree(
  bucket: Bucket,
  from: BackendPath,
  to: BackendPath,
  target: Found,
  overwrite: boolean,
  call: CallOptions,
): Promise<void> {
  const existing = entryOrNull(to, target);
  requireDestination({ path: from, type: 'directory' }, to, existing?.type ?? null, overwrite);
  if (existing === null || from === to) return;
  const own = bucket.keys.ofFolder(to);
  const { items } = await listKeys(bucket.connection, { prefix: own, limit: 2 }, call);
  if (items.every(({ key }) => key === own)) return;
  throw destinationNotEmpty(from, to);
}

/** The keys of a folder with their versions. */
async function readKeys(
  bucket: Bucket,
  path: BackendPath,
  prefix: string,
  call: CallOptions,
): Promise<Map<string, string>> {
  const etags = new Map<string, string>();
  for await (const items of eachKeyPage(bucket.connection, { prefix }, call)) {
    for (const { key, object } of items) etags.set(key, object?.etag ?? '');
    if (etags.size <= maxKeys) continue;
    const text = `${path} has more than ${maxKeys} files, too many to be moved at once. Move its folders one by one.`;
    throw new HoldfastError('not_supported', text);
  }
  return etags;
}

/** Removes the keys that were copied, but for those that have been changed since. */
async function removeMoved(
  bucket: Bucket,
  from: BackendPath,
  prefix: string,
  etags: Map<string, string>,
  call: CallOptions,
): Promise<void> {
  let hasChanged = false;
  for await (const items of eachKeyPage(bucket.connection, { prefix }, call)) {
    const moved = items.filter(({ key, object }) => etags.get(key) === object?.etag).map(({ key }) => key);
    hasChanged ||= moved.length < items.length;
    await deleteObjects(bucket.connection, moved, call);
  }
  if (hasChanged) throw changed(from);
}
