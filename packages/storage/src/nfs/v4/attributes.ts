import type { NfsAttributes, NfsFileType } from '../file-system.ts';
import { readBitmap, writeBitmap } from '../xdr/bitmap.ts';
import { GarbledReply } from '../xdr/garbled.ts';
import { XdrReader } from '../xdr/reader.ts';
import type { XdrWriter } from '../xdr/writer.ts';

/** Numbers of attributes (RFC 8881 §5.8). */
const attribute = {
  type: 1,
  change: 3,
  size: 4,
  fileSystemId: 8,
  leaseTime: 10,
  readError: 11,
  fileId: 20,
  maxRead: 30,
  maxWrite: 31,
  mode: 33,
  spaceFree: 43,
  spaceTotal: 44,
  timeAccessSet: 48,
  timeModify: 53,
  timeModifySet: 54,
} as const;

const NANOSECONDS = 1_000_000_000;
const MAX_ATTRIBUTE_BYTES = 4096;

/** Of a file or folder. */
export const nodeAttributes: readonly number[] = [
  attribute.type,
  attribute.change,
  attribute.size,
  attribute.fileSystemId,
  attribute.fileId,
  attribute.timeModify,
];
/** Of an entry of a folder: an entry that cannot be looked at then tells why, instead of failing the whole page. */
export const entryAttributes: readonly number[] = [...nodeAttributes, attribute.readError].toSorted(
  (a, b) => a - b,
);
/** Of the server. */
export const serverAttributes: readonly number[] = [
  attribute.leaseTime,
  attribute.maxRead,
  attribute.maxWrite,
];
/** Of the file system that holds a node. */
export const spaceAttributes: readonly number[] = [attribute.spaceFree, attribute.spaceTotal];

const types: Record<number, NfsFileType> = { 1: 'file', 2: 'directory', 5: 'symlink' };
/** The last of nfs_ftype4 (RFC 8881 §3.2.1): NF4NAMEDATTR. */
const LAST_TYPE = 9;

interface Values {
  type?: NfsFileType;
  change?: bigint;
  size?: number;
  fileSystemId?: string;
  leaseTime?: number;
  readError?: number;
  fileId?: bigint;
  maxRead?: number;
  maxWrite?: number;
  spaceFree?: number;
  spaceTotal?: number;
  mtimeNs?: bigint;
}

/** Reads a fattr4. @throws GarbledReply for attributes that were not asked for, as their length is not known */
function readValues(reader: XdrReader): Values {
  const bits = readBitmap(reader);
  const values = new XdrReader(reader.opaque(MAX_ATTRIBUTE_BYTES));
  const found: Values = {};
  for (const bit of bits) readValue(values, bit, found);
  values.end();
  return found;
}

function readValue(values: XdrReader, bit: number, found: Values): void {
  switch (bit) {
    case attribute.type:
      found.type = readType(values.u32());
      break;
    case attribute.change:
      found.change = values.u64();
      break;
    case attribute.size:
      found.size = values.size();
      break;
    case attribute.fileSystemId:
      found.fileSystemId = `${values.u64()}.${values.u64()}`;
      break;
    case attribute.leaseTime:
      found.leaseTime = values.u32();
      break;
    case attribute.readError:
      found.readError = values.u32();
      break;
    case attribute.fileId:
      found.fileId = values.u64();
      break;
    case attribute.maxRead:
      found.maxRead = values.amount();
      break;
    case attribute.maxWrite:
      found.maxWrite = values.amount();
      break;
    case attribute.spaceFree:
      found.spaceFree = values.amount();
      break;
    case attribute.spaceTotal:
      found.spaceTotal = values.amount();
      break;
    case attribute.timeModify:
      found.mtimeNs = readTime(values);
      break;
    default:
      throw new GarbledReply(`nobody asked for attribute ${bit}`);
  }
}

function readType(type: number): NfsFileType {
  if (type < 1 || type > LAST_TYPE) throw new GarbledReply(`${type} is no type of file`);
  return types[type] ?? 'other';
}

function readTime(values: XdrReader): bigint {
  const seconds = values.i64();
  const nanoseconds = values.u32();
  if (nanoseconds >= NANOSECONDS) throw new GarbledReply(`${nanoseconds} is no part of a second`);
  return seconds * BigInt(NANOSECONDS) + BigInt(nanoseconds);
}

/** Attributes of a node, as asked for by `nodeAttributes`. @throws GarbledReply when one is missing */
export function readNodeAttributes(reader: XdrReader): NfsAttributes {
  return complete(readValues(reader));
}

function complete(found: Values): NfsAttributes {
  const { type, size, fileId, fileSystemId, change, mtimeNs } = found;
  if (
    type === undefined ||
    size === undefined ||
    fileId === undefined ||
    fileSystemId === undefined ||
    change === undefined ||
    mtimeNs === undefined
  ) {
    throw new GarbledReply('an attribute is missing that every server has');
  }
  return { type, size, fileId, fileSystemId, change, mtimeNs };
}

/** Attributes of an entry of a folder, or undefined for one that cannot be looked at (it is vanishing). */
export function readEntryAttributes(reader: XdrReader): NfsAttributes | undefined {
  const found = readValues(reader);
  return found.type === undefined && found.readError !== undefined ? undefined : complete(found);
}

/** Seconds of the lease, and the most bytes of a READ and a WRITE. */
export function readServerAttributes(reader: XdrReader): {
  leaseTime: number;
  maxRead: number;
  maxWrite: number;
} {
  const {
    leaseTime = 60,
    maxRead = Number.MAX_SAFE_INTEGER,
    maxWrite = Number.MAX_SAFE_INTEGER,
  } = readValues(reader);
  return { leaseTime, maxRead, maxWrite };
}

/** Bytes of the file system, free and in all. */
export function readSpace(reader: XdrReader): { free: number; total: number } {
  const { spaceFree, spaceTotal } = readValues(reader);
  if (spaceFree === undefined || spaceTotal === undefined) throw new GarbledReply('the space is missing');
  return { free: spaceFree, total: spaceTotal };
}

/** Writes a fattr4 that sets the permission bits alone. */
export function writeMode(writer: XdrWriter, mode: number): void {
  writeBitmap(writer, [attribute.mode]);
  writer.u32(4).u32(mode);
}

/** Writes a fattr4 that sets permission bits, and both times to the server's clock. */
export function writeModeAndTimes(writer: XdrWriter, mode: number): void {
  const setToServerTime = 0;
  writeBitmap(writer, [attribute.mode, attribute.timeAccessSet, attribute.timeModifySet]);
  writer.u32(12).u32(mode).u32(setToServerTime).u32(setToServerTime);
}

/** Writes a fattr4 that sets the size, and the time of the last change to the server's clock. */
export function writeSize(writer: XdrWriter, size: number): void {
  const setToServerTime = 0;
  writeBitmap(writer, [attribute.size, attribute.timeModifySet]);
  writer.u32(12).u64(size).u32(setToServerTime);
}
