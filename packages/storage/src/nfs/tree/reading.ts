import { isRoot } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import { isAFolder, refuseTempNames } from '../../path-rules/refusals.ts';
import { isFailure, nfsError } from '../failure.ts';
import type { NfsNode } from '../file-system.ts';
import { nfsStatus } from '../status.ts';
import { ShareFile } from './open-file.ts';
import { requireFileOrFolder, resolvePath } from './resolving.ts';
import type { OpenShare, Share } from './share.ts';

const gone = [nfsStatus.STALE, nfsStatus.FHEXPIRED, nfsStatus.BADHANDLE, nfsStatus.NOENT];
/** How often a path is looked up anew when what it meant is replaced in that very moment. */
const MAX_LOOKS = 3;

/** A read that found nothing: nothing there, or not the right share? */
async function notFound(share: Share, path: BackendPath): Promise<HoldfastError> {
  await share.enter();
  return new HoldfastError('file_not_found', `There is no file or folder at ${path}.`);
}

/**
 * What a path means.
 * @throws HoldfastError `file_not_found`, `invalid_path`, `backend_unavailable`, `wrong_volume`
 */
export async function statNode(share: Share, path: BackendPath): Promise<NfsNode> {
  return (await find(share, path)).node;
}

async function find(share: Share, path: BackendPath): Promise<{ open: OpenShare; node: NfsNode }> {
  refuseTempNames(path);
  for (let look = 1; ; look += 1) {
    const open = await share.open();
    try {
      const found = await resolvePath(open, path);
      if (found.kind !== 'found') {
        const error = await notFound(share, path);
        // A name may have been changed on its way: what is missing is looked for twice.
        if (look === 1) continue;
        throw error;
      }
      requireFileOrFolder(found.node, path);
      // Of the root only the handle is known.
      const attributes = isRoot(path) ? await open.fs.attributes(open.root) : found.node.attributes;
      return { open, node: { handle: found.node.handle, attributes } };
    } catch (error) {
      if (!isFailure(error, ...gone)) throw nfsError(error, `Looking at ${path}`, 'read');
      if (look === MAX_LOOKS) throw await notFound(share, path);
      // A folder on the way, or the root itself, is another one by now.
      open.fs.forgetRoot();
    }
  }
}

/** Opens one version of a file. Devices, sockets and FIFOs are never opened. */
export async function openShareFile(share: Share, path: BackendPath): Promise<ShareFile> {
  for (let look = 1; ; look += 1) {
    const { open, node } = await find(share, path);
    if (node.attributes.type === 'directory') throw isAFolder(path);
    try {
      const file = await open.fs.open(node.handle);
      try {
        // As it is now that it is open, and asked for a second time.
        return new ShareFile(file, path, await file.attributes());
      } catch (error) {
        await file[Symbol.asyncDispose]();
        throw error;
      }
    } catch (error) {
      if (!isFailure(error, ...gone) || look === MAX_LOOKS) throw nfsError(error, `Opening ${path}`, 'read');
    }
  }
}
