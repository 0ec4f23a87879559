import type { NfsAttributes, NfsFolderEntry, NfsName } from '../file-system.ts';
import { readBitmap, writeBitmap } from '../xdr/bitmap.ts';
import { GarbledReply } from '../xdr/garbled.ts';
import type { XdrReader } from '../xdr/reader.ts';
import {
  entryAttributes,
  nodeAttributes,
  readEntryAttributes,
  readNodeAttributes,
  readServerAttributes,
  readSpace,
  serverAttributes,
  spaceAttributes,
  writeMode,
  writeModeAndTimes,
  writeSize,
} from './attributes.ts';
import { Operation } from './operation.ts';

/** RFC 8881 §3.1: NFS4_FHSIZE. */
const MAX_HANDLE_BYTES = 128;
const STATEID_BYTES = 16;
export const VERIFIER_BYTES = 8;
const MAX_NAME_BYTES = 4096;
const MAX_LINK_BYTES = 65_536;
const MAX_ENTRIES = 100_000;

const nothing = (): void => undefined;

function changeInfo(reader: XdrReader): void {
  reader.bool();
  reader.u64();
  reader.u64();
}

export function putRootHandle(): Operation<void> {
  return new Operation(24, 'PUTROOTFH', nothing, nothing);
}

export function putHandle(handle: Buffer): Operation<void> {
  return new Operation(22, 'PUTFH', (writer) => writer.opaque(handle), nothing);
}

export function saveHandle(): Operation<void> {
  return new Operation(32, 'SAVEFH', nothing, nothing);
}

export function getHandle(): Operation<Buffer> {
  // Copied, as it is kept longer than the message that it came in.
  return new Operation(10, 'GETFH', nothing, (reader) => Buffer.from(reader.opaque(MAX_HANDLE_BYTES)));
}

export function lookup(name: NfsName): Operation<void> {
  return new Operation(15, 'LOOKUP', (writer) => writer.opaque(name), nothing);
}

export function getAttributes(): Operation<NfsAttributes> {
  return new Operation(9, 'GETATTR', (writer) => writeBitmap(writer, nodeAttributes), readNodeAttributes);
}

export function getServerAttributes(): Operation<ReturnType<typeof readServerAttributes>> {
  return new Operation(9, 'GETATTR', (writer) => writeBitmap(writer, serverAttributes), readServerAttributes);
}

export function getSpace(): Operation<ReturnType<typeof readSpace>> {
  return new Operation(9, 'GETATTR', (writer) => writeBitmap(writer, spaceAttributes), readSpace);
}

/** Sets the mode, and both times to the server's clock: an exclusive create keeps its verifier in them. */
export function setModeAndTimes(stateid: Buffer, mode: number): Operation<void> {
  return new Operation(
    34,
    'SETATTR',
    (writer) => writeModeAndTimes(writer.fixed(stateid), mode),
    (reader) => void readBitmap(reader),
  );
}

export function setSize(stateid: Buffer, size: number): Operation<void> {
  return new Operation(
    34,
    'SETATTR',
    (writer) => writeSize(writer.fixed(stateid), size),
    (reader) => void readBitmap(reader),
  );
}

export function readLink(): Operation<Buffer> {
  return new Operation(27, 'READLINK', nothing, (reader) => Buffer.from(reader.opaque(MAX_LINK_BYTES)));
}

export function remove(name: NfsName): Operation<void> {
  return new Operation(28, 'REMOVE', (writer) => writer.opaque(name), changeInfo);
}

/** From the saved folder to the current one. */
export function rename(from: string, to: string): Operation<void> {
  return new Operation(
    29,
    'RENAME',
    (writer) => writer.opaque(from).opaque(to),
    (reader) => {
      changeInfo(reader);
      changeInfo(reader);
    },
  );
}

/** The saved file gets a name in the current folder. */
export function link(name: string): Operation<void> {
  return new Operation(11, 'LINK', (writer) => writer.opaque(name), changeInfo);
}

export function createFolder(name: string, mode: number): Operation<void> {
  const folderType = 2;
  return new Operation(
    6,
    'CREATE',
    (writer) => writeMode(writer.u32(folderType).opaque(name), mode),
    (reader) => {
      changeInfo(reader);
      readBitmap(reader);
    },
  );
}

export interface FolderPage {
  verifier: Buffer;
  entries: NfsFolderEntry[];
  /** Where the next page starts. */
  nextCookie: bigint;
  isLast: boolean;
}

export function readFolder(cookie: bigint, verifier: Buffer, maxBytes: number): Operation<FolderPage> {
  return new Operation(
    26,
    'READDIR',
    (writer) => {
      writer.u64(cookie).fixed(verifier).u32(maxBytes).u32(maxBytes);
      writeBitmap(writer, entryAttributes);
    },
    (reader) => readPage(reader, cookie),
  );
}

function readPage(reader: XdrReader, cookie: bigint): FolderPage {
  const verifier = Buffer.from(reader.fixed(VERIFIER_BYTES));
  const entries: NfsFolderEntry[] = [];
  let nextCookie = cookie;
  for (let count = 0; reader.bool(); count += 1) {
    if (count === MAX_ENTRIES) throw new GarbledReply('a page of too many entries');
    nextCookie = reader.u64();
    const name = Buffer.from(reader.opaque(MAX_NAME_BYTES));
    const attributes = readEntryAttributes(reader);
    if (attributes !== undefined) entries.push({ name, attributes });
  }
  return { verifier, entries, nextCookie, isLast: reader.bool() };
}

/** RFC 8881 §18.16. */
export const shareAccess = { read: 1, both: 3 } as const;
const NO_DELEGATION_WANTED = 0x0400;
const NOTHING_DENIED = 0;

export type OpenClaim =
  /** The current handle is a folder: make this name in it, which must be free. The same verifier is the same call. */
  | { kind: 'create'; name: string; verifier: Buffer; mode: number }
  /** The current handle is the file. */
  | { kind: 'handle' }
  /** The current handle is a file that was open before the server started anew. */
  | { kind: 'reclaim' };

export interface OpenArguments {
  clientId: bigint;
  /** A name of its own for every open, so that no two share a state. */
  owner: Buffer;
  access: number;
  claim: OpenClaim;
}

/** @returns the stateid */
export function open({ clientId, owner, access, claim }: OpenArguments): Operation<Buffer> {
  return new Operation(
    18,
    'OPEN',
    (writer) => {
      writer
        .u32(0)
        .u32(access | NO_DELEGATION_WANTED)
        .u32(NOTHING_DENIED);
      writer.u64(clientId).opaque(owner);
      if (claim.kind === 'create') {
        const [openCreate, exclusive41, claimNull] = [1, 3, 0];
        writer.u32(openCreate).u32(exclusive41).fixed(claim.verifier);
        writeMode(writer, claim.mode);
        writer.u32(claimNull).opaque(claim.name);
      } else {
        const [openNoCreate, claimPrevious, claimHandle, noDelegation] = [0, 1, 4, 0];
        writer.u32(openNoCreate);
        if (claim.kind === 'reclaim') writer.u32(claimPrevious).u32(noDelegation);
        else writer.u32(claimHandle);
      }
    },
    readOpen,
  );
}

function readOpen(reader: XdrReader): Buffer {
  const stateid = Buffer.from(reader.fixed(STATEID_BYTES));
  changeInfo(reader);
  reader.u32();
  readBitmap(reader);
  const [none, noneExtended] = [0, 3];
  const delegation = reader.u32();
  if (delegation === noneExtended) {
    const [contention, resource] = [1, 2];
    const why = reader.u32();
    if (why === contention || why === resource) reader.bool();
  } else if (delegation !== none) {
    throw new GarbledReply('nobody asked for a delegation');
  }
  return stateid;
}

export function close(stateid: Buffer): Operation<void> {
  return new Operation(
    4,
    'CLOSE',
    (writer) => writer.u32(0).fixed(stateid),
    (reader) => void reader.fixed(STATEID_BYTES),
  );
}

export function read(stateid: Buffer, offset: number, length: number): Operation<Buffer> {
  return new Operation(
    25,
    'READ',
    (writer) => writer.fixed(stateid).u64(offset).u32(length),
    (reader) => {
      const isEnd = reader.bool();
      const bytes = reader.opaque(length);
      if (bytes.byteLength === 0 && length > 0 && !isEnd)
        throw new GarbledReply('no bytes, though there are more');
      return bytes;
    },
  );
}

const UNSTABLE = 0;

export function write(
  stateid: Buffer,
  offset: number,
  bytes: Uint8Array,
): Operation<{ written: number; verifier: string }> {
  return new Operation(
    38,
    'WRITE',
    (writer) => writer.fixed(stateid).u64(offset).u32(UNSTABLE).bulk(bytes),
    (reader) => {
      const written = reader.u32();
      reader.u32();
      if (written === 0 || written > bytes.byteLength)
        throw new GarbledReply(`${written} bytes were written`);
      return { written, verifier: reader.fixed(VERIFIER_BYTES).toString('hex') };
    },
  );
}

/** Of the whole file. @returns the verifier */
export function commit(): Operation<string> {
  return new Operation(
    5,
    'COMMIT',
    (writer) => writer.u64(0).u32(0),
    (reader) => reader.fixed(VERIFIER_BYTES).toString('hex'),
  );
}
