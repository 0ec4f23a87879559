import { isReservedName, nameOf, parentOf, segmentsOf } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import { isFailure, nfsError } from '../failure.ts';
import type { NfsNode } from '../file-system.ts';
import { nfsStatus } from '../status.ts';
import type { OpenShare } from './share.ts';

/** As Linux does (MAXSYMLINKS). */
const MAX_LINKS = 40;

/** A node and where it really is: the names from the root down, with every symlink resolved. */
export interface Place {
  node: NfsNode;
  names: readonly string[];
}

/** What a path means once symlinks are followed. */
export type Resolution =
  | ({ kind: 'found' } & Place)
  /** `base` is the last folder that is there, `rest` the names below it that are missing. */
  | { kind: 'missing'; base: Place; rest: readonly string[]; isBrokenLink: boolean }
  /** Something that is no folder stands where the path has one. */
  | { kind: 'blocked'; names: readonly string[] };

interface Step {
  name: string;
  isFromLink: boolean;
}

/** Symlinks are followed by us and not by the server, so that none leads out of the share or into the reserved area. */
class Walk {
  readonly #share: OpenShare;
  readonly #path: BackendPath;
  readonly #trail: Place[];
  #todo: Step[];
  #links = 0;

  constructor(share: OpenShare, steps: readonly string[], path: BackendPath) {
    this.#share = share;
    this.#path = path;
    this.#trail = [rootPlace(share)];
    this.#todo = steps.map((name) => ({ name, isFromLink: false }));
  }

  async run(): Promise<Resolution> {
    while (this.#todo.length > 0) {
      if (this.#todo[0]?.name === '..') {
        this.#goUp();
        continue;
      }
      const end = await this.#goDown();
      if (end !== undefined) return end;
    }
    return { kind: 'found', ...this.#here() };
  }

  #here(): Place {
    const place = this.#trail.at(-1);
    if (place === undefined) throw this.#leadsOut();
    return place;
  }

  #goUp(): void {
    this.#todo.shift();
    if (this.#trail.length === 1) throw this.#leadsOut();
    this.#trail.pop();
  }

  /** Goes down as far as one request gets. @returns the end of the way, if this is it */
  async #goDown(): Promise<Resolution | undefined> {
    const upAt = this.#todo.findIndex(({ name }) => name === '..');
    const batch = this.#todo.slice(0, upAt === -1 ? undefined : upAt);
    const from = this.#here();
    if (from.names.length === 0 && isReservedName(batch[0]?.name ?? '')) throw this.#leadsOut();
    const nodes = await this.#share.fs.walk(
      from.node.handle,
      batch.map(({ name }) => name),
    );
    for (const [index, node] of nodes.entries()) {
      const step = this.#todo.shift();
      if (step === undefined) break;
      if (node.attributes.type === 'symlink') {
        await this.#follow(node);
        return undefined;
      }
      const names = [...this.#here().names, step.name];
      this.#trail.push({ node, names });
      if (node.attributes.type !== 'directory' && index < batch.length - 1) return { kind: 'blocked', names };
      if (node.attributes.type !== 'directory' && this.#todo.length > 0) return { kind: 'blocked', names };
    }
    if (nodes.length === batch.length) return undefined;
    const isBrokenLink = this.#todo.some(({ isFromLink }) => isFromLink);
    return { kind: 'missing', base: this.#here(), rest: this.#todo.map(({ name }) => name), isBrokenLink };
  }

  async #follow(link: NfsNode): Promise<void> {
    this.#links += 1;
    if (this.#links > MAX_LINKS) {
      throw new HoldfastError('invalid_path', `The symbolic links of ${this.#path} go in a circle.`, {
        errors: [{ field: 'path', message: 'its symbolic links go in a circle' }],
      });
    }
    const target = (await this.#share.fs.readLink(link.handle)).toString();
    // Absolute targets are meant for the machine that made them.
    if (target.startsWith('/')) throw this.#leadsOut();
    const names = target.split('/').filter((name) => name !== '' && name !== '.');
    this.#todo = [...names.map((name) => ({ name, isFromLink: true })), ...this.#todo];
  }

  #leadsOut(): HoldfastError {
    return new HoldfastError(
      'invalid_path',
      `${this.#path} leads through a symbolic link to a place outside this backend. Such links are not followed.`,
      { errors: [{ field: 'path', message: 'a symbolic link leads out of the backend' }] },
    );
  }
}

/** The root as a place. Its attributes are not asked for: it is a folder. */
function rootPlace({ root }: OpenShare): Place {
  return {
    node: {
      handle: root,
      attributes: { type: 'directory', size: 0, fileId: 0n, fileSystemId: '', change: 0n, mtimeNs: 0n },
    },
    names: [],
  };
}

/** What a path means. @throws HoldfastError `invalid_path` when symlinks lead out or go in a circle; NfsFailure */
export async function resolvePath(share: OpenShare, path: BackendPath): Promise<Resolution> {
  return new Walk(share, segmentsOf(path), path).run();
}

/** What a path means, or null when there is nothing (a broken symlink included). Errors as `requireFileOrFolder`. */
export async function lookAt(share: OpenShare, path: BackendPath): Promise<Place | null> {
  try {
    const found = await resolvePath(share, path);
    if (found.kind === 'blocked') throw notAFolder(path);
    if (found.kind === 'missing') return null;
    requireFileOrFolder(found.node, path);
    return found;
  } catch (error) {
    throw nfsError(error, `Looking at ${path}`, 'read');
  }
}

/** @throws HoldfastError `invalid_path` for a FIFO, socket or device */
export function requireFileOrFolder({ attributes }: NfsNode, path: BackendPath): void {
  if (attributes.type === 'file' || attributes.type === 'directory') return;
  throw new HoldfastError(
    'invalid_path',
    `${path} is neither a file nor a folder, but a device, socket or pipe.`,
    {
      errors: [{ field: 'path', message: 'it is neither a file nor a folder' }],
    },
  );
}

/** The error for a file that stands where a folder is needed. */
export function notAFolder(path: BackendPath): HoldfastError {
  return new HoldfastError('not_a_directory', `A part of ${path} is a file, so nothing can be inside it.`);
}

/** A symlink to the root makes `/link/.holdfast` a spelling of the reserved area. */
function refuseReservedName(parent: Place, path: BackendPath): Place {
  if (parent.names.length > 0 || !isReservedName(nameOf(path))) return parent;
  throw new HoldfastError(
    'invalid_path',
    `${path} leads through a symbolic link into the folder that Holdfast keeps for itself.`,
    { errors: [{ field: 'path', message: 'a symbolic link leads out of the backend' }] },
  );
}

/** The folder that holds a path. @throws HoldfastError `file_not_found`, `not_a_directory`, `invalid_path` */
export async function findParent(share: OpenShare, path: BackendPath): Promise<Place> {
  const parent = await lookAt(share, parentOf(path));
  if (parent === null) throw new HoldfastError('file_not_found', `There is no folder ${parentOf(path)}.`);
  if (parent.node.attributes.type !== 'directory') throw notAFolder(path);
  return refuseReservedName(parent, path);
}

/**
 * The folder that holds a path, as far as it exists: checks before anything is written.
 * @throws HoldfastError `invalid_path` where it leaves the share, `not_a_directory` where a file stands in the way
 */
export async function checkParent(share: OpenShare, path: BackendPath): Promise<void> {
  try {
    const found = await resolvePath(share, parentOf(path));
    if (found.kind === 'blocked') throw notAFolder(path);
    if (found.kind === 'missing') return;
    if (found.node.attributes.type !== 'directory') throw notAFolder(path);
    refuseReservedName(found, path);
  } catch (error) {
    throw nfsError(error, `Looking at ${parentOf(path)}`, 'read');
  }
}

/** The folder that holds a path; what is missing of it is made. Errors as `findParent`. */
export async function makeParent(share: OpenShare, path: BackendPath): Promise<Place> {
  const folder = parentOf(path);
  try {
    const found = await resolvePath(share, folder);
    if (found.kind === 'blocked') throw notAFolder(path);
    if (found.kind === 'found') {
      if (found.node.attributes.type !== 'directory') throw notAFolder(path);
      return refuseReservedName(found, path);
    }
    if (found.isBrokenLink)
      throw new HoldfastError('file_not_found', `${folder} has a symbolic link that leads nowhere.`);
    let { base } = found;
    for (const name of found.rest) base = await makeFolderIn(share, base, name);
    return refuseReservedName(base, path);
  } catch (error) {
    throw nfsError(error, `Making the folder ${folder}`);
  }
}

/** Makes one folder, unless somebody else just did. */
async function makeFolderIn(share: OpenShare, parent: Place, name: string): Promise<Place> {
  const names = [...parent.names, name];
  try {
    return { node: await share.fs.makeFolder(parent.node.handle, name), names };
  } catch (error) {
    if (!isFailure(error, nfsStatus.EXIST)) throw error;
    const [node] = await share.fs.walk(parent.node.handle, [name]);
    if (node?.attributes.type !== 'directory') throw error;
    return { node, names };
  }
}

/** What an entry of a folder that is a symlink means, or undefined when it leads nowhere that may be shown. */
export async function followEntry(
  share: OpenShare,
  folder: BackendPath,
  name: string,
): Promise<NfsNode | undefined> {
  try {
    const found = await new Walk(share, [...segmentsOf(folder), name], folder).run();
    return found.kind === 'found' ? found.node : undefined;
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'invalid_path') return undefined;
    if (isFailure(error, nfsStatus.ACCESS)) return undefined;
    throw error;
  }
}
