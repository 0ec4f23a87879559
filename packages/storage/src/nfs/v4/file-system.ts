import { randomBytes } from 'node:crypto';
import type { Usage } from '../../backend.ts';
import { isFailure, NfsFailure } from '../failure.ts';
import type {
  NfsAttributes,
  NfsFile,
  NfsFileSystem,
  NfsFolderEntry,
  NfsName,
  NfsNode,
} from '../file-system.ts';
import type { RpcLink } from '../rpc/link.ts';
import { nfsStatus } from '../status.ts';
import { GarbledReply } from '../xdr/garbled.ts';
import { StateLost, V4Client } from './client.ts';
import { newOpenOwner, openByHandle, V4OpenFile } from './open-file.ts';
import {
  createFolder,
  getAttributes,
  getHandle,
  getSpace,
  link,
  lookup,
  open,
  putHandle,
  putRootHandle,
  readFolder,
  readLink,
  remove,
  rename,
  saveHandle,
  setModeAndTimes,
  shareAccess,
  VERIFIER_BYTES,
} from './operations.ts';

/** Names that are looked up in one request. */
const NAMES_PER_REQUEST = 8;
const FOLDER_PAGE_BYTES = 256 * 1024;
const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;
const MAX_ATTEMPTS = 5;
const NO_VERIFIER = Buffer.alloc(VERIFIER_BYTES);

const endsWalk: readonly number[] = [
  nfsStatus.NOENT,
  nfsStatus.NOTDIR,
  nfsStatus.SYMLINK,
  nfsStatus.WRONG_TYPE,
];

/** What a request asks of a node; the attributes twice, as nothing else would show that they were changed on their way. */
function aboutNode() {
  return { handle: getHandle(), attributes: getAttributes(), again: getAttributes() };
}

function isSettled({
  attributes,
  again,
}: Pick<ReturnType<typeof aboutNode>, 'attributes' | 'again'>): boolean {
  const [a, b] = [attributes.value, again.value];
  return (
    a.type === b.type &&
    a.size === b.size &&
    a.fileId === b.fileId &&
    a.change === b.change &&
    a.mtimeNs === b.mtimeNs
  );
}

/** An export by NFSv4.1 (RFC 8881). */
export class V4FileSystem implements NfsFileSystem {
  readonly version = '4.1';
  readonly #client: V4Client;
  readonly #exportNames: readonly string[];
  #root: Buffer | undefined;

  constructor(rpcLink: RpcLink, options: { exportPath: string; ownerId: string }) {
    this.#client = new V4Client(rpcLink, options.ownerId);
    this.#exportNames = options.exportPath.split('/').filter((name) => name !== '');
  }

  /** Makes the first session. @throws VersionMissing when the server has no NFSv4.1; HoldfastError */
  async authenticate(): Promise<void> {
    await this.#client.session();
  }

  async root(): Promise<Buffer> {
    if (this.#root !== undefined) return this.#root;
    const handle = getHandle();
    await this.#client.run([putRootHandle(), handle]);
    const nodes = await this.walk(handle.value, this.#exportNames);
    const last = nodes.at(-1);
    if (nodes.length < this.#exportNames.length) throw new NfsFailure(nfsStatus.NOENT, 'LOOKUP', false);
    if (last !== undefined && last.attributes.type !== 'directory') {
      throw new NfsFailure(nfsStatus.NOTDIR, 'LOOKUP', false);
    }
    this.#root = last?.handle ?? handle.value;
    return this.#root;
  }

  forgetRoot(): void {
    this.#root = undefined;
  }

  async walk(folder: Buffer, names: readonly NfsName[]): Promise<NfsNode[]> {
    const nodes: NfsNode[] = [];
    for (let from = folder; nodes.length < names.length;) {
      const wanted = names.slice(nodes.length, nodes.length + NAMES_PER_REQUEST);
      const found = await this.#walkSome(from, wanted);
      nodes.push(...found);
      const last = found.at(-1);
      if (last === undefined || found.length < wanted.length || last.attributes.type !== 'directory') break;
      from = last.handle;
    }
    return nodes;
  }

  async attributes(handle: Buffer): Promise<NfsAttributes> {
    for (let attempt = 1; ; attempt += 1) {
      const asked = aboutNode();
      await this.#client.run([putHandle(handle), asked.attributes, asked.again]);
      // Somebody who writes all the time may change it between: then the last one counts.
      if (isSettled(asked) || attempt === MAX_ATTEMPTS) return asked.again.value;
    }
  }

  async readLink(handle: Buffer): Promise<Buffer> {
    const target = readLink();
    await this.#client.run([putHandle(handle), target]);
    return target.value;
  }

  async *readFolder(handle: Buffer): AsyncGenerator<NfsFolderEntry[]> {
    let [cookie, verifier]: [bigint, Buffer] = [0n, NO_VERIFIER];
    for (;;) {
      const reading = readFolder(cookie, verifier, FOLDER_PAGE_BYTES);
      await this.#client.run([putHandle(handle), reading]);
      const page = reading.value;
      yield page.entries;
      if (page.isLast) return;
      if (page.nextCookie === cookie) throw new GarbledReply('a listing that does not go on');
      [cookie, verifier] = [page.nextCookie, page.verifier];
    }
  }

  async open(handle: Buffer): Promise<NfsFile> {
    return this.#open(handle, shareAccess.read);
  }

  async openToWrite(handle: Buffer): Promise<NfsFile> {
    return this.#open(handle, shareAccess.both);
  }

  async create(folder: Buffer, name: string): Promise<NfsFile> {
    const claim = { kind: 'create', name, verifier: randomBytes(VERIFIER_BYTES), mode: FILE_MODE } as const;
    for (let attempt = 1; ; attempt += 1) {
      const { clientId, generation } = await this.#client.identity();
      const opening = open({ clientId, owner: newOpenOwner(), access: shareAccess.both, claim });
      const handle = getHandle();
      try {
        await this.#client.run([putHandle(folder), opening, handle], { generation, keepReply: true });
      } catch (error) {
        // The same verifier makes the second time the same as the first.
        if (!(error instanceof StateLost) || attempt === MAX_ATTEMPTS) throw error;
        continue;
      }
      const file = new V4OpenFile(this.#client, handle.value, shareAccess.both, {
        stateid: opening.value,
        generation,
      });
      try {
        await this.#client.run([putHandle(handle.value), setModeAndTimes(anyState, FILE_MODE)]);
        return file;
      } catch (error) {
        await file[Symbol.asyncDispose]();
        throw error;
      }
    }
  }

  async makeFolder(folder: Buffer, name: string): Promise<NfsNode> {
    const making = [putHandle(folder), createFolder(name, FOLDER_MODE)];
    await this.#client.run(making, { keepReply: true }).catch((error: unknown) => {
      // Its first time was done, and the answer was lost.
      if (!isFailure(error, nfsStatus.EXIST) || !error.wasResent) throw error;
    });
    const [node] = await this.walk(folder, [name]);
    if (node === undefined) throw new NfsFailure(nfsStatus.NOENT, 'CREATE', false);
    return node;
  }

  async rename(fromFolder: Buffer, fromName: string, toFolder: Buffer, toName: string): Promise<void> {
    await this.#client.run(
      [putHandle(fromFolder), saveHandle(), putHandle(toFolder), rename(fromName, toName)],
      { keepReply: true },
    );
  }

  async link(file: Buffer, folder: Buffer, name: string): Promise<void> {
    await this.#client.run([putHandle(file), saveHandle(), putHandle(folder), link(name)], {
      keepReply: true,
    });
  }

  async remove(folder: Buffer, name: NfsName): Promise<void> {
    await this.#client.run([putHandle(folder), remove(name)], { keepReply: true });
  }

  async usage(handle: Buffer): Promise<Usage> {
    const space = getSpace();
    await this.#client.run([putHandle(handle), space]);
    const { free, total } = space.value;
    return { usedBytes: Math.max(0, total - free), totalBytes: total };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }

  async #open(handle: Buffer, access: number): Promise<NfsFile> {
    const state = await openByHandle(this.#client, handle, access);
    return new V4OpenFile(this.#client, handle, access, state);
  }

  async #walkSome(folder: Buffer, names: readonly NfsName[]): Promise<NfsNode[]> {
    for (let attempt = 1; ; attempt += 1) {
      const steps = names.map((name) => ({ into: lookup(name), ...aboutNode() }));
      const operations = steps.flatMap(({ into, handle, attributes, again }) => [
        into,
        handle,
        attributes,
        again,
      ]);
      await this.#client.run([putHandle(folder), ...operations]).catch((error: unknown) => {
        if (!isFailure(error, ...endsWalk)) throw error;
        // A name that is missing; or the folder itself is a symlink or file by now.
      });
      const done = steps.filter((step) => step.again.isDone);
      if (done.every(isSettled) || attempt === MAX_ATTEMPTS) {
        return done.map(({ handle, again }) => ({ handle: handle.value, attributes: again.value }));
      }
    }
  }
}

/** The stateid that stands for no open at all (RFC 8881 §8.2.3). */
const anyState = Buffer.alloc(16);
