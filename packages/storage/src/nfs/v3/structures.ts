import type { NfsAttributes, NfsFileType } from '../file-system.ts';
import { GarbledReply } from '../xdr/garbled.ts';
import type { XdrReader } from '../xdr/reader.ts';
import type { XdrWriter } from '../xdr/writer.ts';

/** RFC 1813 §2.4: NFS3_FHSIZE. */
export const MAX_HANDLE_BYTES = 64;
export const VERIFIER_BYTES = 8;
const NANOSECONDS = 1_000_000_000;
const types: Record<number, NfsFileType> = { 1: 'file', 2: 'directory', 5: 'symlink' };
/** The last of ftype3: NF3FIFO. */
const LAST_TYPE = 7;

function readTime(reader: XdrReader): bigint {
  const seconds = reader.u32();
  const nanoseconds = reader.u32();
  if (nanoseconds >= NANOSECONDS) throw new GarbledReply(`${nanoseconds} is no part of a second`);
  return BigInt(seconds) * BigInt(NANOSECONDS) + BigInt(nanoseconds);
}

/** Reads a fattr3 (RFC 1813 §2.5.5). The ctime stands in for the change attribute, which v3 lacks. */
export function readAttributes(reader: XdrReader): NfsAttributes {
  const type = reader.u32();
  if (type < 1 || type > LAST_TYPE) throw new GarbledReply(`${type} is no type of file`);
  for (let skipped = 0; skipped < 4; skipped += 1) reader.u32();
  const size = reader.size();
  for (let skipped = 0; skipped < 2; skipped += 1) reader.u64();
  const fileSystemId = String(reader.u64());
  const fileId = reader.u64();
  readTime(reader);
  const mtimeNs = readTime(reader);
  const change = readTime(reader);
  return { type: types[type] ?? 'other', size, fileId, fileSystemId, change, mtimeNs };
}

/** Reads a post_op_attr: attributes that the server may leave out. */
export function readOptionalAttributes(reader: XdrReader): NfsAttributes | undefined {
  return reader.bool() ? readAttributes(reader) : undefined;
}

/** Reads a post_op_fh3. */
export function readOptionalHandle(reader: XdrReader): Buffer | undefined {
  return reader.bool() ? readHandle(reader) : undefined;
}

export function readHandle(reader: XdrReader): Buffer {
  // Copied, as it is kept longer than the message that it came in.
  return Buffer.from(reader.opaque(MAX_HANDLE_BYTES));
}

/** Skips a wcc_data. */
export function skipChanges(reader: XdrReader): void {
  if (reader.bool()) {
    reader.u64();
    for (let skipped = 0; skipped < 4; skipped += 1) reader.u32();
  }
  readOptionalAttributes(reader);
}

/** Writes a sattr3 that sets the mode and, when asked, both times to the server's clock. */
export function writeMode(writer: XdrWriter, mode: number, alsoTimes = false): void {
  const [keep, setToServerTime] = [0, 1];
  const time = alsoTimes ? setToServerTime : keep;
  writer.bool(true).u32(mode).bool(false).bool(false).bool(false).u32(time).u32(time);
}

/** Writes a sattr3 that sets the size, and the time of the last change to the server's clock. */
export function writeSize(writer: XdrWriter, size: number): void {
  const [keep, setToServerTime] = [0, 1];
  writer.bool(false).bool(false).bool(false).bool(true).u64(size).u32(keep).u32(setToServerTime);
}

/** Writes a diropargs3. */
export function writePlace(writer: XdrWriter, folder: Buffer, name: string | Uint8Array): void {
  writer.opaque(folder).opaque(name);
}
