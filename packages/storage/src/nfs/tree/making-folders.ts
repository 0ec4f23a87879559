import { isRoot, nameOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { StorageEntry } from '../../backend.ts';
import { existsAlready, refuseTempNames } from '../../path-rules/refusals.ts';
import { isFailure, nfsError } from '../failure.ts';
import { nfsStatus } from '../status.ts';
import { entryOf } from './entry.ts';
import { checkParent, lookAt, makeParent } from './resolving.ts';
import type { Share } from './share.ts';

/** Makes a folder and its missing parents. @throws HoldfastError `already_exists`, `not_a_directory` */
export async function makeFolder(share: Share, path: BackendPath): Promise<StorageEntry> {
  refuseTempNames(path);
  if (isRoot(path)) throw existsAlready(path);
  return share.locks.hold([path], async () => {
    const entered = await share.enter();
    await checkParent(entered, path);
    if ((await lookAt(entered, path)) !== null) throw existsAlready(path);
    const parent = await makeParent(entered, path);
    try {
      const node = await entered.fs.makeFolder(parent.node.handle, nameOf(path));
      return entryOf(path, node.attributes);
    } catch (error) {
      if (isFailure(error, nfsStatus.EXIST)) throw existsAlready(path, error);
      throw nfsError(error, `Making the folder ${path}`);
    }
  });
}
