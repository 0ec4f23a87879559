import { nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { MoveOptions, StorageEntry } from '../../backend.ts';
import { refuseRoot, refuseTempNames } from '../../path-rules/refusals.ts';
import {
  destinationNotEmpty,
  intoItself,
  pathTaken,
  refuseIntoItself,
  requireDestination,
} from '../../path-rules/relocating.ts';
import { isFailure, nfsError } from '../failure.ts';
import type { NfsNode } from '../file-system.ts';
import { nfsStatus } from '../status.ts';
import { entryOf, isSameFile, typeOf } from './entry.ts';
import { giveName } from './naming.ts';
import { checkParent, findParent, lookAt, makeParent } from './resolving.ts';
import type { Place } from './resolving.ts';
import type { Share } from './share.ts';

/** Moves a file or folder. A symlink is moved itself, not what it points to. */
export async function moveEntry(
  share: Share,
  from: BackendPath,
  to: BackendPath,
  options: MoveOptions,
): Promise<StorageEntry> {
  refuseRoot(from, 'moved');
  refuseRoot(to, 'replaced');
  refuseTempNames(from);
  refuseTempNames(to);
  throwIfCancelled(options.signal, `Moving ${from}`);
  return share.locks.hold([from, to], async () => {
    const entered = await share.enter();
    const source = await findParent(entered, from);
    const meant = await lookAt(entered, from);
    if (meant === null) throw new HoldfastError('file_not_found', `There is no ${from} to move.`);
    if (from === to && options.overwrite === true) return entryOf(to, meant.node.attributes);
    const moved = { path: from, type: typeOf(meant.node.attributes) };
    refuseIntoItself(moved, to);
    await checkParent(entered, to);
    const existing = await lookAt(entered, to);
    requireDestination(moved, to, existing && typeOf(existing.node.attributes), options.overwrite);
    const target = await makeParent(entered, to);
    try {
      const [own] = await entered.fs.walk(source.node.handle, [nameOf(from)]);
      if (own === undefined) throw new HoldfastError('file_not_found', `There is no ${from} to move.`);
      refuseOwnTarget(own, meant, existing, from, to);
      const named = { folder: source.node.handle, name: nameOf(from), ...own };
      const name = { folder: target.node.handle, name: nameOf(to), onlyIfFree: options.overwrite !== true };
      await giveName(entered.fs, named, name, to);
      // A relative symlink may point nowhere from its new place; then it is told as what it pointed to.
      return entryOf(to, ((await lookAt(entered, to)) ?? meant).node.attributes);
    } catch (error) {
      throw notMoved(error, from, meant, to, options.overwrite);
    }
  });
}

/** A symlink moved over the very file that it points to would leave a link to itself, and the bytes would be lost. */
function refuseOwnTarget(
  own: NfsNode,
  meant: Place,
  existing: Place | null,
  from: BackendPath,
  to: BackendPath,
): void {
  if (own.attributes.type !== 'symlink' || existing === null) return;
  if (!isSameFile(meant.node.attributes, existing.node.attributes)) return;
  throw new HoldfastError('conflict', `${from} is a symbolic link to ${to}, so it cannot take its place.`);
}

function notMoved(
  error: unknown,
  from: BackendPath,
  meant: Place,
  to: BackendPath,
  overwrite: boolean | undefined,
): HoldfastError {
  const isTaken = isFailure(error, nfsStatus.EXIST, nfsStatus.NOTEMPTY);
  if (isTaken && overwrite !== true) return pathTaken(to, error);
  // RFC 8881 §18.26.3 has EXIST for a folder that is not empty, where others say NOTEMPTY.
  if (isTaken && meant.node.attributes.type === 'directory') return destinationNotEmpty(from, to, error);
  if (isFailure(error, nfsStatus.INVAL)) return intoItself(from, to, error);
  return nfsError(error, `Moving ${from} to ${to}`);
}
