import { isRoot, nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { stageFile } from '@holdfast/bytes/durable-file';
import type { PublishTarget, StagedFile } from '@holdfast/bytes/durable-file';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { CopyOptions, WriteOptions, WriteResult } from '../backend.ts';
import { requirePublishable, requireWritable } from '../path-rules/publishing.ts';
import { isAFolder, refuseTempNames } from '../path-rules/refusals.ts';
import { copyByWriting } from '../path-rules/relocating.ts';
import { StagingSlot } from '../volume/staging-slot.ts';
import { entryOf, typeOf } from './entry.ts';
import type { FolderHandle } from './folder-handle.ts';
import { renderIntent } from './intents.ts';
import { checkFolders, makeParent, statInside } from './jail.ts';
import { openFile } from './reading.ts';
import type { Volume } from './volume.ts';

const publishAttempts = 4;

type StageExpectations = Pick<WriteOptions, 'expectedSha256' | 'expectedSize' | 'signal'>;
type CrossDevice = PublishTarget['crossDevice'];

/** Stages a source for a path of an entered volume and hands it to `use`; what `use` does not publish is removed. */
export async function withStaged<T>(
  volume: Volume,
  root: FolderHandle,
  path: BackendPath,
  source: AsyncIterable<Uint8Array>,
  options: StageExpectations,
  use: (staged: StagedFile, crossDevice: CrossDevice) => Promise<T>,
): Promise<T> {
  await using staging = await volume.openStaging(root);
  using slot = new StagingSlot(volume.ownerId);
  await using staged = await stageFile(source, {
    folder: staging.path,
    name: slot.tempName,
    label: path,
    expectedSize: options.expectedSize,
    expectedSha256: options.expectedSha256,
    signal: options.signal,
  });
  await volume.verifyStaged?.(staging.child(slot.tempName), staged);
  return await use(staged, {
    intentPath: staging.child(slot.intentName),
    intentText: (tempName) => renderIntent(path, tempName),
  });
}

/**
 * Stores a source under a path: staged, verified, then published under the path's lock. A symlink at the path is
 * replaced by the file when it points to a file inside the backend; refused when it points out of it.
 * Conditions that fail already at the start are answered before a byte of the source is read.
 */
export async function writeFile(
  volume: Volume,
  path: BackendPath,
  source: AsyncIterable<Uint8Array>,
  options: WriteOptions,
): Promise<WriteResult> {
  if (isRoot(path)) throw isAFolder(path);
  refuseTempNames(path);
  throwIfCancelled(options.signal, `Writing ${path}`);
  await using root = await volume.enter();
  await checkFolders(root, path);
  const existing = await statInside(root, path);
  requireWritable(path, existing && typeOf(existing), options.ifAbsent);
  return await withStaged(volume, root, path, source, options, (staged, crossDevice) =>
    volume.locks.hold([path], () => publish(volume, path, staged, crossDevice, options)),
  );
}

async function publish(
  volume: Volume,
  path: BackendPath,
  staged: StagedFile,
  crossDevice: CrossDevice,
  options: WriteOptions,
): Promise<WriteResult> {
  for (let attempt = 1; ; attempt += 1) {
    // Entered anew: a volume that was unmounted while the bytes came in must not count as written.
    await using root = await volume.enter();
    const existing = await statInside(root, path);
    await requirePublishable(path, existing && entryOf(path, existing), options);
    try {
      await using parent = await makeParent(root, path);
      const target = { folder: parent.path, name: nameOf(path), ifAbsent: options.ifAbsent, crossDevice };
      const stats = await staged.publish(target);
      return { entry: entryOf(path, stats), sha256: staged.sha256, replaced: existing !== null };
    } catch (error) {
      // The folder was removed by somebody else in this moment: make it again.
      if (!isHoldfastError(error, 'file_not_found') || attempt === publishAttempts) throw error;
    }
  }
}

/** Copies a file, by way of a verified write; the digest is of the bytes as they were copied. */
export async function copyFile(
  volume: Volume,
  from: BackendPath,
  to: BackendPath,
  options: CopyOptions,
): Promise<WriteResult> {
  await using file = await openFile(volume, from);
  return await copyByWriting(file, to, options, (source, write) => writeFile(volume, to, source, write));
}
