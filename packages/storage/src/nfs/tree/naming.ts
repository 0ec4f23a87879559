import { HoldfastError } from '@holdfast/contract/errors';
import { ignoreStatus, isFailure, NfsFailure } from '../failure.ts';
import type { NfsAttributes, NfsFileSystem } from '../file-system.ts';
import { nfsStatus } from '../status.ts';
import { isSameFile } from './entry.ts';

/** Something that gets another name. */
export interface Named {
  folder: Buffer;
  name: string;
  handle: Buffer;
  attributes: NfsAttributes;
}

export interface NewName {
  folder: Buffer;
  name: string;
  /** The name must be free; otherwise what has it is replaced. */
  onlyIfFree: boolean;
}

/**
 * Gives a file or folder a new name in one atomic step, and looks whether it has it: names are not guarded on their
 * way, and an answer that was lost leaves open what was done.
 * @param label the path that a person knows
 * @returns its attributes as they are now
 * @throws NfsFailure EXIST when the name is taken; HoldfastError `backend_unavailable` when it cannot be found after
 */
export async function giveName(
  fs: NfsFileSystem,
  from: Named,
  to: NewName,
  label: string,
): Promise<NfsAttributes> {
  const hasName = async (): Promise<NfsAttributes | undefined> => {
    const [node] = await fs.walk(to.folder, [to.name]);
    return node !== undefined && isSameFile(node.attributes, from.attributes) ? node.attributes : undefined;
  };
  const isFile = from.attributes.type !== 'directory';
  try {
    if (to.onlyIfFree && isFile) await linkIfFree(fs, from, to);
    else await renameOver(fs, from, to);
  } catch (error) {
    // Sent twice, it may meet what its first time has done.
    if (!(error instanceof NfsFailure) || !error.wasResent || (await hasName()) === undefined) throw error;
  }
  const attributes = (await hasName()) ?? (await hasName());
  if (attributes === undefined || (isFile && attributes.size !== from.attributes.size)) {
    const text = `The server says that ${label} has its new name, but it is not there. Look at the folder, then try again.`;
    throw new HoldfastError('backend_unavailable', text);
  }
  return attributes;
}

/** Folders cannot be linked, and some servers have no links at all: then the name is looked at first, which is not atomic. */
async function renameOver(fs: NfsFileSystem, from: Named, to: NewName): Promise<void> {
  const [existing] = await fs.walk(to.folder, [to.name]);
  if (existing !== undefined && to.onlyIfFree) throw new NfsFailure(nfsStatus.EXIST, 'LOOKUP', false);
  if (existing !== undefined && isSameFile(existing.attributes, from.attributes)) {
    // RENAME does nothing between two hard links of one file, so the old name would stay.
    await fs.remove(from.folder, from.name, 'file');
    return;
  }
  await fs.rename(from.folder, from.name, to.folder, to.name);
}

async function linkIfFree(fs: NfsFileSystem, from: Named, to: NewName): Promise<void> {
  try {
    await fs.link(from.handle, to.folder, to.name);
  } catch (error) {
    if (!isFailure(error, nfsStatus.NOTSUPP, nfsStatus.PERM, nfsStatus.MLINK)) {
      if (!isFailure(error, nfsStatus.EXIST) || !error.wasResent) throw error;
      const [existing] = await fs.walk(to.folder, [to.name]);
      if (existing === undefined || !isSameFile(existing.attributes, from.attributes)) throw error;
    } else {
      await renameOver(fs, from, to);
      return;
    }
  }
  await fs.remove(from.folder, from.name, 'file').catch(ignoreStatus(nfsStatus.NOENT));
}
