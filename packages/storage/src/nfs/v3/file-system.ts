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
import type { XdrReader } from '../xdr/reader.ts';
import { V3Client } from './client.ts';
import { mountExport } from './mount.ts';
import type { MountOptions } from './mount.ts';
import { getAttributes, V3OpenFile } from './open-file.ts';
import type { TransferLimits } from './open-file.ts';
import {
  readHandle,
  readOptionalAttributes,
  readOptionalHandle,
  skipChanges,
  VERIFIER_BYTES,
  writeMode,
  writePlace,
} from './structures.ts';

const TRANSFER_BYTES = 1024 * 1024;
const FOLDER_PAGE_BYTES = 128 * 1024;
const MAX_ENTRIES = 100_000;
const MAX_NAME_BYTES = 4096;
const MAX_LINK_BYTES = 65_536;
const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;
const MAX_ATTEMPTS = 5;

interface RawEntry {
  name: Buffer;
  attributes: NfsAttributes | undefined;
}

interface FolderPage {
  verifier: Buffer;
  entries: RawEntry[];
  nextCookie: bigint;
  isLast: boolean;
}

/** An export by NFSv3 (RFC 1813). Calls that were sent twice may meet what their first time has done. */
export class V3FileSystem implements NfsFileSystem {
  readonly version = '3';
  readonly #client: V3Client;
  readonly #options: MountOptions;
  #root: Buffer | undefined;
  #limits: TransferLimits | undefined;

  constructor(link: RpcLink, options: MountOptions) {
    this.#client = new V3Client(link);
    this.#options = options;
  }

  /** @throws RpcRefused when the server has no NFSv3; HoldfastError `backend_unavailable` */
  async authenticate(): Promise<void> {
    await this.#client.ping();
  }

  async root(): Promise<Buffer> {
    this.#root ??= await mountExport(this.#options);
    return this.#root;
  }

  forgetRoot(): void {
    this.#root = undefined;
  }

  async walk(folder: Buffer, names: readonly NfsName[]): Promise<NfsNode[]> {
    const nodes: NfsNode[] = [];
    let from = folder;
    for (const name of names) {
      const node = await this.#lookup(from, name);
      if (node === undefined) break;
      nodes.push(node);
      if (node.attributes.type !== 'directory') break;
      from = node.handle;
    }
    const last = nodes.at(-1);
    if (last !== undefined) last.attributes = await this.#settle(last.handle, last.attributes);
    return nodes;
  }

  async attributes(handle: Buffer): Promise<NfsAttributes> {
    return this.#settle(handle, await getAttributes(this.#client, handle));
  }

  async readLink(handle: Buffer): Promise<Buffer> {
    return this.#client.call({
      procedure: 'READLINK',
      write: (writer) => writer.opaque(handle),
      read: (reader) => {
        readOptionalAttributes(reader);
        return Buffer.from(reader.opaque(MAX_LINK_BYTES));
      },
    });
  }

  async *readFolder(handle: Buffer): AsyncGenerator<NfsFolderEntry[]> {
    let [cookie, verifier]: [bigint, Buffer] = [0n, Buffer.alloc(VERIFIER_BYTES)];
    for (;;) {
      const [from, before] = [cookie, verifier];
      const page = await this.#client.call({
        procedure: 'READDIRPLUS',
        write: (writer) =>
          writer.opaque(handle).u64(from).fixed(before).u32(FOLDER_PAGE_BYTES).u32(FOLDER_PAGE_BYTES),
        read: (reader) => readPage(reader, from),
      });
      yield await this.#complete(handle, page.entries);
      if (page.isLast) return;
      if (page.nextCookie === cookie) throw new GarbledReply('a listing that does not go on');
      [cookie, verifier] = [page.nextCookie, page.verifier];
    }
  }

  async open(handle: Buffer): Promise<NfsFile> {
    return new V3OpenFile(this.#client, handle, await this.#transferLimits());
  }

  async openToWrite(handle: Buffer): Promise<NfsFile> {
    return this.open(handle);
  }

  async create(folder: Buffer, name: string): Promise<NfsFile> {
    const verifier = randomBytes(VERIFIER_BYTES);
    const exclusive = 2;
    // The same verifier makes a second time the same as the first.
    const told = await this.#client.call({
      procedure: 'CREATE',
      write: (writer) => {
        writePlace(writer, folder, name);
        writer.u32(exclusive).fixed(verifier);
      },
      read: readMade,
    });
    const handle = told ?? (await this.#require(folder, name)).handle;
    // The server may keep the verifier in the times of the file until they are set.
    await this.#client.call({
      procedure: 'SETATTR',
      write: (writer) => {
        writeMode(writer.opaque(handle), FILE_MODE, true);
        writer.bool(false);
      },
      read: skipChanges,
    });
    return this.open(handle);
  }

  async makeFolder(folder: Buffer, name: string): Promise<NfsNode> {
    const making = this.#client.call({
      procedure: 'MKDIR',
      write: (writer) => {
        writePlace(writer, folder, name);
        writeMode(writer, FOLDER_MODE);
      },
      read: readMade,
    });
    await making.catch((error: unknown) => {
      if (!isFailure(error, nfsStatus.EXIST) || !error.wasResent) throw error;
    });
    return this.#require(folder, name);
  }

  async rename(fromFolder: Buffer, fromName: string, toFolder: Buffer, toName: string): Promise<void> {
    await this.#client.call({
      procedure: 'RENAME',
      write: (writer) => {
        writePlace(writer, fromFolder, fromName);
        writePlace(writer, toFolder, toName);
      },
      read: (reader) => {
        skipChanges(reader);
        skipChanges(reader);
      },
    });
  }

  async link(file: Buffer, folder: Buffer, name: string): Promise<void> {
    await this.#client.call({
      procedure: 'LINK',
      write: (writer) => writePlace(writer.opaque(file), folder, name),
      read: (reader) => {
        readOptionalAttributes(reader);
        skipChanges(reader);
      },
    });
  }

  async remove(folder: Buffer, name: NfsName, kind: 'file' | 'directory'): Promise<void> {
    await this.#client.call({
      procedure: kind === 'directory' ? 'RMDIR' : 'REMOVE',
      write: (writer) => writePlace(writer, folder, name),
      read: skipChanges,
    });
  }

  async usage(handle: Buffer): Promise<Usage> {
    return this.#client.call({
      procedure: 'FSSTAT',
      write: (writer) => writer.opaque(handle),
      read: (reader) => {
        readOptionalAttributes(reader);
        const [total, free] = [reader.amount(), reader.amount()];
        for (let skipped = 0; skipped < 4; skipped += 1) reader.u64();
        reader.u32();
        return { usedBytes: Math.max(0, total - free), totalBytes: total };
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Asks again until two answers agree, as nothing else would show that one was changed on its way. */
  async #settle(handle: Buffer, first: NfsAttributes): Promise<NfsAttributes> {
    for (let [attempt, before] = [1, first]; ; attempt += 1) {
      const now = await getAttributes(this.#client, handle);
      const agrees =
        now.size === before.size && now.change === before.change && now.mtimeNs === before.mtimeNs;
      // Somebody who writes all the time may change it between: then the last one counts.
      if ((agrees && now.type === before.type && now.fileId === before.fileId) || attempt === MAX_ATTEMPTS)
        return now;
      before = now;
    }
  }

  async #lookup(folder: Buffer, name: NfsName): Promise<NfsNode | undefined> {
    try {
      const { handle, attributes } = await this.#client.call({
        procedure: 'LOOKUP',
        write: (writer) => writePlace(writer, folder, name),
        read: (reader) => {
          const found = { handle: readHandle(reader), attributes: readOptionalAttributes(reader) };
          readOptionalAttributes(reader);
          return found;
        },
      });
      return { handle, attributes: attributes ?? (await this.attributes(handle)) };
    } catch (error) {
      if (isFailure(error, nfsStatus.NOENT, nfsStatus.NOTDIR)) return undefined;
      throw error;
    }
  }

  async #require(folder: Buffer, name: NfsName): Promise<NfsNode> {
    const node = await this.#lookup(folder, name);
    if (node === undefined) throw new NfsFailure(nfsStatus.NOENT, 'LOOKUP', false);
    return node;
  }

  /** Servers may leave attributes out of a listing; then they are asked for one by one. */
  async #complete(folder: Buffer, entries: RawEntry[]): Promise<NfsFolderEntry[]> {
    const complete: NfsFolderEntry[] = [];
    for (const { name, attributes } of entries) {
      const known = attributes ?? (await this.#lookup(folder, name))?.attributes;
      if (known !== undefined) complete.push({ name, attributes: known });
    }
    return complete;
  }

  async #transferLimits(): Promise<TransferLimits> {
    if (this.#limits !== undefined) return this.#limits;
    const root = await this.root();
    this.#limits = await this.#client.call({
      procedure: 'FSINFO',
      write: (writer) => writer.opaque(root),
      read: (reader) => {
        readOptionalAttributes(reader);
        const [maxRead, , , maxWrite] = [reader.u32(), reader.u32(), reader.u32(), reader.u32()];
        for (let skipped = 0; skipped < 3; skipped += 1) reader.u32();
        reader.u64();
        for (let skipped = 0; skipped < 3; skipped += 1) reader.u32();
        if (maxRead === 0 || maxWrite === 0) throw new GarbledReply('no bytes can be transferred');
        return {
          maxReadBytes: Math.min(maxRead, TRANSFER_BYTES),
          maxWriteBytes: Math.min(maxWrite, TRANSFER_BYTES),
        };
      },
    });
    return this.#limits;
  }
}

function readMade(reader: XdrReader): Buffer | undefined {
  const handle = readOptionalHandle(reader);
  readOptionalAttributes(reader);
  skipChanges(reader);
  return handle;
}

function readPage(reader: XdrReader, cookie: bigint): FolderPage {
  readOptionalAttributes(reader);
  const verifier = Buffer.from(reader.fixed(VERIFIER_BYTES));
  const entries: RawEntry[] = [];
  let nextCookie = cookie;
  for (let count = 0; reader.bool(); count += 1) {
    if (count === MAX_ENTRIES) throw new GarbledReply('a page of too many entries');
    reader.u64();
    const name = Buffer.from(reader.opaque(MAX_NAME_BYTES));
    nextCookie = reader.u64();
    const attributes = readOptionalAttributes(reader);
    readOptionalHandle(reader);
    const text = name.toString();
    if (text !== '.' && text !== '..') entries.push({ name, attributes });
  }
  return { verifier, entries, nextCookie, isLast: reader.bool() };
}
