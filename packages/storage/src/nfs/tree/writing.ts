import { isRoot, nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { CopyOptions, WriteOptions, WriteResult } from '../../backend.ts';
import { notAbsent, requirePublishable, requireWritable } from '../../path-rules/publishing.ts';
import { isAFolder, refuseTempNames } from '../../path-rules/refusals.ts';
import { copyByWriting } from '../../path-rules/relocating.ts';
import { isFailure, nfsError } from '../failure.ts';
import { nfsStatus } from '../status.ts';
import { entryOf, typeOf } from './entry.ts';
import { giveName } from './naming.ts';
import { openShareFile } from './reading.ts';
import { checkParent, lookAt, makeParent } from './resolving.ts';
import type { Share } from './share.ts';
import { withStaged } from './staging.ts';
import type { Staged } from './staging.ts';

const publishAttempts = 4;

/**
 * Stores a source under a path: staged, compared with what the server has, then published under the path's lock. A
 * symlink at the path is replaced by the file when it points to a file inside the share; refused when it points out.
 * Conditions that fail already at the start are answered before a byte of the source is read.
 */
export async function writeFile(
  share: Share,
  path: BackendPath,
  source: AsyncIterable<Uint8Array>,
  options: WriteOptions,
): Promise<WriteResult> {
  if (isRoot(path)) throw isAFolder(path);
  refuseTempNames(path);
  throwIfCancelled(options.signal, `Writing ${path}`);
  const entered = await share.enter();
  await checkParent(entered, path);
  const existing = await lookAt(entered, path);
  requireWritable(path, existing && typeOf(existing.node.attributes), options.ifAbsent);
  return withStaged(share, entered, path, source, options, (staged) =>
    share.locks.hold([path], () => publish(share, path, staged, options)),
  );
}

async function publish(
  share: Share,
  path: BackendPath,
  staged: Staged,
  options: WriteOptions,
): Promise<WriteResult> {
  for (let attempt = 1; ; attempt += 1) {
    // Entered anew: a share that was exchanged while the bytes came in must not count as written.
    const entered = await share.enter();
    const existing = await lookAt(entered, path);
    await requirePublishable(path, existing && entryOf(path, existing.node.attributes), options);
    const parent = await makeParent(entered, path);
    const target = { folder: parent.node.handle, name: nameOf(path), onlyIfFree: options.ifAbsent === true };
    try {
      const attributes = await giveName(entered.fs, staged, target, path);
      return { entry: entryOf(path, attributes), sha256: staged.sha256, replaced: existing !== null };
    } catch (error) {
      if (isFailure(error, nfsStatus.EXIST) && options.ifAbsent === true) throw notAbsent(path, error);
      // The folder was removed by somebody else in this moment: make it again.
      const isFolderGone = isFailure(error, nfsStatus.NOENT, nfsStatus.STALE, nfsStatus.FHEXPIRED);
      if (!isFolderGone) throw nfsError(error, `Publishing ${path}`);
      if (attempt < publishAttempts) continue;
      const text = `${path} could not be published: its folder, or what was staged for it, is gone again and again. Try again.`;
      throw new HoldfastError('backend_unavailable', text, { cause: error });
    }
  }
}

/** Copies a file, by way of a verified write; the digest is of the bytes as they were copied. */
export async function copyFile(
  share: Share,
  from: BackendPath,
  to: BackendPath,
  options: CopyOptions,
): Promise<WriteResult> {
  await using file = await openShareFile(share, from);
  return await copyByWriting(file, to, options, (source, write) => writeFile(share, to, source, write));
}
