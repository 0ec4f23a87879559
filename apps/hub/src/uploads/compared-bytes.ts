import { createHash, type Hash } from 'node:crypto';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { SourceReader } from '@holdfast/bytes/source-reader';
import { HoldfastError } from '@holdfast/contract/errors';

/**
 * Hashes bytes that are not kept.
 * @param length bytes that come
 * @returns their SHA-256, lower-case hex
 * @throws HoldfastError `incomplete_body`, `too_large`, `cancelled`; an error of the source unchanged
 */
export async function digestOf(
  source: AsyncIterable<Uint8Array>,
  length: number,
  signal: AbortSignal,
): Promise<string> {
  const digest = new StreamDigest();
  await using reader = new SourceReader(source, signal, 'Comparing the bytes');
  for (let bytes = await reader.next(); bytes !== undefined; bytes = await reader.next()) {
    digest.update(bytes);
    if (digest.bytes > length)
      throw new HoldfastError('too_large', `More than the announced ${length} bytes came.`);
  }
  if (digest.bytes < length) {
    const text = `Of the announced ${length} bytes only ${digest.bytes} came; send them again.`;
    throw new HoldfastError('incomplete_body', text);
  }
  return digest.hex();
}

/** What a tus client says of the bytes it sends (tus 1.0, Checksum extension). */
export interface SentChecksum {
  algorithm: 'sha1' | 'sha256';
  digest: Buffer;
}

/** The error for bytes that are not those that the client hashed; its offset stays where it was. */
export function sentChecksumMismatch(algorithm: string): HoldfastError {
  return new HoldfastError(
    'upload_checksum_mismatch',
    `The ${algorithm} of the bytes that came is not the one in Upload-Checksum. They do not count; send them again from the same offset.`,
  );
}

/** The same bytes; ends in `upload_checksum_mismatch` instead of in their end when they are not those that were announced. */
export async function* checkedBytes(
  source: AsyncIterable<Uint8Array>,
  { algorithm, digest }: SentChecksum,
): AsyncGenerator<Uint8Array, void, void> {
  const hash: Hash = createHash(algorithm);
  for await (const bytes of source) {
    hash.update(bytes);
    yield bytes;
  }
  if (!hash.digest().equals(digest)) throw sentChecksumMismatch(algorithm);
}
