/** What a ZIP says of one file. Sizes in bytes. */
export interface ZipMember {
  /** Relative, with slashes; at most 65,535 bytes of UTF-8. */
  name: string;
  mode: number;
  modifiedAt: Date;
  crc32: number;
  compressedSize: number;
  size: number;
  /** Where its local header begins. */
  offset: number;
}

/** How the sizes of a file are told: before its bytes, or after them in a data descriptor. */
export type SizesTold = 'before' | 'after';

// APPNOTE 6.3.10 §4.3.7, 4.3.9, 4.3.12, 4.3.14 to 4.3.16
const LOCAL_HEADER = 0x04034b50;
const DATA_DESCRIPTOR = 0x08074b50;
const CENTRAL_HEADER = 0x02014b50;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const END_64_LOCATOR = 0x07064b50;

const MOST_16 = 0xffff;
const MOST_32 = 0xffffffff;
/** Deflate makes what it cannot compress larger: a file that comes so near to 4 GiB gets the wide fields, in bytes. */
const WIDE_FROM = 0xf0000000;
const DEFLATE = 8;
/** §4.4.4: the name is UTF-8. */
const UTF8 = 1 << 11;
/** §4.4.4: CRC and sizes come after the bytes. */
const TOLD_AFTER = 1 << 3;
const VERSION_64 = 45;
/** Made on UNIX, so that the upper half of the external attributes is the mode of stat(2). */
const MADE_BY = (3 << 8) | VERSION_64;
const REGULAR_FILE = 0o100000;

/** Whether a file of this size needs fields of 64 bits. */
function isWide(size: number): boolean {
  return size >= WIDE_FROM;
}

/** What comes before the bytes of a file; with `after`, CRC and compressed size are not known yet. */
export function localHeader(member: ZipMember, told: SizesTold): Buffer {
  const name = Buffer.from(member.name);
  const isAfter = told === 'after';
  const wide = isWide(member.size);
  const wideField = wide
    ? wideExtra(isAfter ? [0, 0] : [member.size, member.compressedSize])
    : Buffer.alloc(0);
  const extra = Buffer.concat([timeExtra(member.modifiedAt), wideField]);
  const header = Buffer.alloc(30);
  header.writeUInt32LE(LOCAL_HEADER, 0);
  header.writeUInt16LE(VERSION_64, 4);
  writeCommon(header, 6, member, isAfter);
  header.writeUInt32LE(isAfter ? 0 : member.crc32, 14);
  header.writeUInt32LE(wide ? MOST_32 : isAfter ? 0 : member.compressedSize, 18);
  header.writeUInt32LE(wide ? MOST_32 : isAfter ? 0 : member.size, 22);
  header.writeUInt16LE(name.byteLength, 26);
  header.writeUInt16LE(extra.byteLength, 28);
  return Buffer.concat([header, name, extra]);
}

/** What comes after the bytes of a file whose sizes were not told before. */
export function dataDescriptor({ crc32, compressedSize, size }: ZipMember): Buffer {
  const wide = isWide(size);
  const descriptor = Buffer.alloc(wide ? 24 : 16);
  descriptor.writeUInt32LE(DATA_DESCRIPTOR, 0);
  descriptor.writeUInt32LE(crc32, 4);
  if (wide) {
    descriptor.writeBigUInt64LE(BigInt(compressedSize), 8);
    descriptor.writeBigUInt64LE(BigInt(size), 16);
  } else {
    descriptor.writeUInt32LE(compressedSize, 8);
    descriptor.writeUInt32LE(size, 12);
  }
  return descriptor;
}

/** A file's record in the directory at the end. */
export function centralHeader(member: ZipMember, told: SizesTold): Buffer {
  const name = Buffer.from(member.name);
  const { size, compressedSize, offset } = member;
  const wide = isWide(size);
  const wideFields = [...(wide ? [size, compressedSize] : []), ...(offset >= MOST_32 ? [offset] : [])];
  const extra = Buffer.concat([timeExtra(member.modifiedAt), wideExtra(wideFields)]);
  const header = Buffer.alloc(46);
  header.writeUInt32LE(CENTRAL_HEADER, 0);
  header.writeUInt16LE(MADE_BY, 4);
  header.writeUInt16LE(VERSION_64, 6);
  writeCommon(header, 8, member, told === 'after');
  header.writeUInt32LE(member.crc32, 16);
  header.writeUInt32LE(wide ? MOST_32 : compressedSize, 20);
  header.writeUInt32LE(wide ? MOST_32 : size, 24);
  header.writeUInt16LE(name.byteLength, 28);
  header.writeUInt16LE(extra.byteLength, 30);
  header.writeUInt32LE(((REGULAR_FILE | member.mode) << 16) >>> 0, 38);
  header.writeUInt32LE(Math.min(offset, MOST_32), 42);
  return Buffer.concat([header, name, extra]);
}

/** The end of a ZIP whose directory of `bytes` bytes begins at `offset`. */
export function endOfDirectory({
  files,
  bytes,
  offset,
}: {
  files: number;
  bytes: number;
  offset: number;
}): Buffer {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(END, 0);
  end.writeUInt16LE(Math.min(files, MOST_16), 8);
  end.writeUInt16LE(Math.min(files, MOST_16), 10);
  end.writeUInt32LE(Math.min(bytes, MOST_32), 12);
  end.writeUInt32LE(Math.min(offset, MOST_32), 16);
  if (files < MOST_16 && bytes < MOST_32 && offset < MOST_32) return end;
  const wide = Buffer.alloc(56 + 20);
  wide.writeUInt32LE(END_64, 0);
  wide.writeBigUInt64LE(44n, 4); // the size of this record without these first 12 bytes
  wide.writeUInt16LE(MADE_BY, 12);
  wide.writeUInt16LE(VERSION_64, 14);
  wide.writeBigUInt64LE(BigInt(files), 24);
  wide.writeBigUInt64LE(BigInt(files), 32);
  wide.writeBigUInt64LE(BigInt(bytes), 40);
  wide.writeBigUInt64LE(BigInt(offset), 48);
  wide.writeUInt32LE(END_64_LOCATOR, 56);
  wide.writeBigUInt64LE(BigInt(offset + bytes), 64);
  wide.writeUInt32LE(1, 72);
  return Buffer.concat([wide, end]);
}

/** Flags, method and DOS time, which both headers have in the same order. */
function writeCommon(header: Buffer, at: number, { modifiedAt }: ZipMember, isAfter: boolean): void {
  header.writeUInt16LE(UTF8 | (isAfter ? TOLD_AFTER : 0), at);
  header.writeUInt16LE(DEFLATE, at + 2);
  const { time, date } = dosTime(modifiedAt);
  header.writeUInt16LE(time, at + 4);
  header.writeUInt16LE(date, at + 6);
}

/** §4.4.6: two seconds fine, from 1980 to 2107, here in UTC. */
function dosTime(moment: Date): { time: number; date: number } {
  const year = moment.getUTCFullYear();
  if (year < 1980) return { time: 0, date: (1 << 5) | 1 };
  if (year > 2107) return { time: (23 << 11) | (59 << 5) | 29, date: (127 << 9) | (12 << 5) | 31 };
  return {
    time: (moment.getUTCHours() << 11) | (moment.getUTCMinutes() << 5) | (moment.getUTCSeconds() >> 1),
    date: ((year - 1980) << 9) | ((moment.getUTCMonth() + 1) << 5) | moment.getUTCDate(),
  };
}

/** The extended time stamp of Info-ZIP (0x5455): seconds since 1970 in UTC, 32 bits with a sign. */
function timeExtra(moment: Date): Buffer {
  const seconds = Math.floor(moment.getTime() / 1000);
  const extra = Buffer.alloc(9);
  extra.writeUInt16LE(0x5455, 0);
  extra.writeUInt16LE(5, 2);
  extra.writeUInt8(1, 4);
  extra.writeInt32LE(Math.min(Math.max(seconds, -0x80000000), 0x7fffffff), 5);
  return extra;
}

/** §4.5.3: the values, 64 bits wide, of those fields that say 0xffffffff. */
function wideExtra(values: readonly number[]): Buffer {
  if (values.length === 0) return Buffer.alloc(0);
  const extra = Buffer.alloc(4 + 8 * values.length);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(8 * values.length, 2);
  for (const [index, value] of values.entries()) extra.writeBigUInt64LE(BigInt(value), 4 + 8 * index);
  return extra;
}
