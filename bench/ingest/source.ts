import { type FileHandle, mkdir, open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { RandomContent } from '@holdfast/test-support/random-file';

/** Bytes of a chunk of the large file, and of a PATCH. */
export const CHUNK_BYTES = 8 * 1024 ** 2;
/** Connections, or transfers, at the same time. */
export const PARALLEL = 4;
const SMALL_BYTES = 8 * 1024;
const FILES_A_FOLDER = 1000;

interface LargeFile {
  file: string;
  bytes: number;
  sha256: string;
}

export interface SmallFile {
  /** Relative to the folder. */
  name: string;
  file: string;
  bytes: number;
  sha256: string;
}

/** The files that are sent. They have just been written, so that reading them costs no disk. */
export interface Source {
  large: LargeFile;
  folder: string;
  small: SmallFile[];
}

/** Writes a large file and many of 8 KiB, with their sums: whoever sends them knows those. */
export async function writeSource(folder: string, largeBytes: number, smallFiles: number): Promise<Source> {
  const large = path.join(folder, 'large.bin');
  const content = new RandomContent('ingest', largeBytes);
  await content.writeTo(large);
  const tree = path.join(folder, 'small');
  const small: SmallFile[] = [];
  for (let index = 0; index < smallFiles; index += 1) {
    const name = `${Math.floor(index / FILES_A_FOLDER)}/${index}.bin`;
    const file = path.join(tree, name);
    if (index % FILES_A_FOLDER === 0) await mkdir(path.dirname(file), { recursive: true });
    const bytes = new RandomContent(`ingest ${index}`, SMALL_BYTES).bytes();
    await writeFile(file, bytes);
    small.push({ name, file, bytes: SMALL_BYTES, sha256: sha256Hex(bytes) });
  }
  return {
    large: { file: large, bytes: largeBytes, sha256: content.sha256() },
    folder: tree,
    small,
  };
}

/** Reads a file in chunks by several readers side by side, each with one buffer that is its own until `take` resolves. */
export async function readChunks(
  large: LargeFile,
  readers: number,
  take: (chunk: Buffer, num: number) => Promise<void>,
): Promise<void> {
  await using handle = await open(large.file);
  const nums = Array.from({ length: Math.ceil(large.bytes / CHUNK_BYTES) }, (_, num) => num).values();
  const reader = async (): Promise<void> => {
    const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    for (const num of nums) await take(await readChunk(handle, large, num, buffer), num);
  };
  await Promise.all(Array.from({ length: readers }, reader));
}

/** The chunks of a file in order; the next one is read meanwhile. A chunk's memory is the taker's until it asks for the next. */
export async function* readAhead(large: LargeFile): AsyncGenerator<Buffer, void, void> {
  await using handle = await open(large.file);
  const buffers = [Buffer.allocUnsafeSlow(CHUNK_BYTES), Buffer.allocUnsafeSlow(CHUNK_BYTES)] as const;
  const count = Math.ceil(large.bytes / CHUNK_BYTES);
  let ahead = readChunk(handle, large, 0, buffers[0]);
  for (let num = 0; num < count; num += 1) {
    const chunk = await ahead;
    if (num + 1 < count) ahead = readChunk(handle, large, num + 1, buffers[num % 2 === 0 ? 1 : 0]);
    yield chunk;
  }
}

async function readChunk(
  handle: FileHandle,
  { file, bytes }: LargeFile,
  num: number,
  buffer: Buffer,
): Promise<Buffer> {
  const position = num * CHUNK_BYTES;
  const length = Math.min(CHUNK_BYTES, bytes - position);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  if (bytesRead !== length) throw new Error(`${file} ends early`);
  return buffer.subarray(0, length);
}

/** Hands the items out to several takers side by side. */
export async function shareOut<T>(
  items: readonly T[],
  takers: number,
  take: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const rest = items.entries();
  const taker = async (): Promise<void> => {
    for (const [index, item] of rest) await take(item, index);
  };
  await Promise.all(Array.from({ length: takers }, taker));
}
