import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { crc32, createDeflateRaw, deflateRaw } from 'node:zlib';
import { verifiedBytes, type ArchiveEntry } from './archive-entries.ts';
import {
  centralHeader,
  dataDescriptor,
  endOfDirectory,
  localHeader,
  type SizesTold,
  type ZipMember,
} from './zip-records.ts';

const DEFAULT_MODE = 0o644;
/** Fast rather than small: much of what is kept is compressed already. */
const LEVEL = { level: 1 };
/** A file up to this size is compressed in memory, in bytes. */
const SMALL_BYTES = 256 * 1024;
/** Records of the directory are kept together in blocks of this size, in bytes. */
const DIRECTORY_BLOCK_BYTES = 64 * 1024;

const deflateSmall = promisify<Uint8Array, { level: number }, Buffer>(deflateRaw);

/**
 * A ZIP of the entries. All of them are deflated: one that is only stored tells its end nowhere but in the directory at the end, so
 * that nothing could unpack the archive while it arrives. The directory is kept until then, about 100 bytes and the name a file.
 */
export async function* zipOf(
  entries: AsyncIterable<ArchiveEntry>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const directory = new Directory();
  let offset = 0;
  for await (const entry of entries) {
    await using _file = entry.content.file;
    const member = memberOf(entry, offset);
    const isSmall = member.size <= SMALL_BYTES;
    for await (const piece of isSmall ? small(entry, member, signal) : large(entry, member, signal)) {
      offset += piece.byteLength;
      yield piece;
    }
    directory.add(member, isSmall ? 'before' : 'after');
  }
  yield* directory.blocks();
  yield endOfDirectory({ files: directory.files, bytes: directory.bytes, offset });
}

function memberOf({ name, row }: ArchiveEntry, offset: number): ZipMember {
  return {
    name,
    mode: row.mode ?? DEFAULT_MODE,
    modifiedAt: row.mtime ?? row.createdAt,
    crc32: 0,
    compressedSize: 0,
    size: row.size,
    offset,
  };
}

async function* small(
  entry: ArchiveEntry,
  member: ZipMember,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const pieces: Uint8Array[] = [];
  for await (const piece of verifiedBytes(entry, signal)) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  const compressed = await deflateSmall(bytes, LEVEL);
  member.crc32 = crc32(bytes);
  member.compressedSize = compressed.byteLength;
  yield localHeader(member, 'before');
  yield compressed;
}

async function* large(
  entry: ArchiveEntry,
  member: ZipMember,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  yield localHeader(member, 'after');
  async function* summed(): AsyncGenerator<Uint8Array, void, void> {
    for await (const piece of verifiedBytes(entry, signal)) {
      member.crc32 = crc32(piece, member.crc32);
      yield piece;
    }
  }
  const deflating = createDeflateRaw(LEVEL);
  const feeding = pipeline(Readable.from(summed(), { objectMode: false }), deflating);
  // Whoever reads `deflating` gets the failure; when nobody reads any more it is of no interest.
  feeding.catch(() => undefined);
  try {
    for await (const piece of deflating) {
      if (!(piece instanceof Uint8Array)) throw new TypeError('deflate makes bytes');
      member.compressedSize += piece.byteLength;
      yield piece;
    }
  } finally {
    deflating.destroy();
  }
  await feeding;
  yield dataDescriptor(member);
}

/** The records of all files. Packed: a buffer for each would keep the much larger pool alive that it was cut from. */
class Directory {
  files = 0;
  bytes = 0;
  readonly #full: Buffer[] = [];
  #block = Buffer.alloc(DIRECTORY_BLOCK_BYTES);
  #used = 0;

  add(member: ZipMember, told: SizesTold): void {
    const record = centralHeader(member, told);
    if (this.#used + record.byteLength > this.#block.byteLength) {
      this.#full.push(this.#block.subarray(0, this.#used));
      this.#block = Buffer.alloc(Math.max(DIRECTORY_BLOCK_BYTES, record.byteLength));
      this.#used = 0;
    }
    this.#block.set(record, this.#used);
    this.#used += record.byteLength;
    this.files += 1;
    this.bytes += record.byteLength;
  }

  *blocks(): Generator<Uint8Array, void, void> {
    yield* this.#full;
    if (this.#used > 0) yield this.#block.subarray(0, this.#used);
  }
}
