import { StreamDigest } from '@holdfast/bytes/sha256';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { OpenFile, StorageBackend, ByteRange } from '../backend.ts';

/** Bytes that differ at every place and between seeds, so that a shifted or mixed file shows. */
export function sampleBytes(size: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let index = 0; index < size; index += 1) {
    // xorshift32 (Marsaglia 2003)
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[index] = state & 0xff;
  }
  return bytes;
}

/** A source that yields bytes in chunks of a size. */
export async function* chunksOf(bytes: Uint8Array, chunkBytes = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.byteLength; start += chunkBytes) {
    yield bytes.subarray(start, start + chunkBytes);
  }
}

/** A source that yields some bytes and then fails with the given error. */
export async function* failingAfter(bytes: Uint8Array, error: Error): AsyncGenerator<Uint8Array> {
  yield* chunksOf(bytes, 1000);
  throw error;
}

/** All bytes of a small file of a test. */
export async function readAll(file: OpenFile, range?: ByteRange): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.stream(range)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** All bytes of a path. */
export async function bytesAt(backend: StorageBackend, path: BackendPath): Promise<Buffer> {
  await using file = await backend.open(path);
  return await readAll(file);
}

/** The SHA-256 of a path's bytes, streamed. */
export async function digestAt(backend: StorageBackend, path: BackendPath): Promise<string> {
  await using file = await backend.open(path);
  const digest = new StreamDigest();
  for await (const chunk of file.stream()) digest.update(chunk);
  return digest.hex();
}
