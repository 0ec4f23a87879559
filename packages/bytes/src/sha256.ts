import { createHash, hash } from 'node:crypto';
import type { Hash } from 'node:crypto';

/** The SHA-256 of no bytes, lower-case hex. */
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const hexPattern = /^[0-9a-f]{64}$/;

/** Whether a value is a SHA-256 as this project writes it: 64 lower-case hexadecimal digits. */
export function isSha256Hex(value: unknown): value is string {
  return typeof value === 'string' && hexPattern.test(value);
}

/** The SHA-256 of bytes that are already in memory (a string counts as UTF-8), as lower-case hex. */
export function sha256Hex(bytes: Uint8Array | string): string {
  return hash('sha256', bytes, 'hex');
}

/** The SHA-256 and the count of bytes that pass by in chunks. */
export class StreamDigest {
  readonly #hash: Hash = createHash('sha256');
  #bytes = 0;
  #hex: string | undefined;

  /** Bytes taken in so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes in the next chunk; the chunk may be reused after the call. Throws once `hex` has been asked for. */
  update(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#bytes += chunk.byteLength;
  }

  /** Ends the digest; lower-case hex, the same on every call. */
  hex(): string {
    this.#hex ??= this.#hash.digest('hex');
    return this.#hex;
  }
}
