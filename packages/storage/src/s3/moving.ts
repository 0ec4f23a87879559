import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { MoveOptions, StorageEntry } from '../backend.ts';
import { refuseRoot } from '../path-rules/refusals.ts';
import { refuseIntoItself, requireDestination } from '../path-rules/relocating.ts';
import { entryOrNull } from './bucket.ts';
import type { Bucket, Found } from './bucket.ts';
import type { CallOptions } from './connection.ts';
import { copyOnServer } from './copying.ts';
import { fileEntry } from './entry.ts';
import { moveFolder } from './moving-folders.ts';
import { deleteObject } from './objects.ts';
import type { StoredObject } from './objects.ts';

/**
 * Moves a file or folder: S3 has no renaming, so the server copies, and then the old keys are removed. A crash between
 * the two leaves both, never neither.
 */
export async function moveEntry(
  bucket: Bucket,
  from: BackendPath,
  to: BackendPath,
  options: MoveOptions,
): Promise<StorageEntry> {
  refuseRoot(from, 'moved');
  refuseRoot(to, 'replaced');
  const doing = `Moving ${from} to ${to}`;
  const { signal } = options;
  const call = { doing, signal, patience: 'long' } as const;
  throwIfCancelled(signal, doing);
  return bucket.run(doing, 'write', signal, () =>
    bucket.locks.hold([from, to], async () => {
      const [source, target] = await Promise.all([
        bucket.find(from, call),
        bucket.findForWriting(to, call).catch((error: unknown) => {
          // What is not there is told first.
          if (error instanceof HoldfastError && error.code === 'not_a_directory') return error;
          throw error;
        }),
      ]);
      const moved = entryOrNull(from, source);
      if (moved === null) throw new HoldfastError('file_not_found', `There is no ${from} to move.`);
      refuseIntoItself(moved, to);
      if (target instanceof HoldfastError) throw target;
      return source.object === undefined
        ? moveFolder(bucket, from, to, target, options.overwrite === true, call)
        : moveFile(bucket, { from, to, source: source.object, target }, options.overwrite === true, call);
    }),
  );
}

async function moveFile(
  bucket: Bucket,
  move: { from: BackendPath; to: BackendPath; source: StoredObject; target: Found },
  overwrite: boolean,
  call: CallOptions,
): Promise<StorageEntry> {
  const { from, to, source, target } = move;
  requireDestination({ path: from, type: 'file' }, to, entryOrNull(to, target)?.type ?? null, overwrite);
  if (from === to) return fileEntry(to, source);
  const entry = await copyOnServer(bucket, { from, source, to, overwrite }, call);
  const now = await bucket.objectAt(from, call);
  if (now !== undefined && now.etag !== source.etag) {
    const text = `${from} was changed while it was moved: ${to} has the former bytes, and ${from} stays as it is now.`;
    throw new HoldfastError('conflict', text);
  }
  await deleteObject(bucket.connection, bucket.keys.ofFile(from), call);
  return entry;
}
