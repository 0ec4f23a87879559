import { type Cipheriv, createCipheriv, createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const aesBlock = 16;
const pieceBytes = 1024 * 1024;
const zeros = Buffer.alloc(pieceBytes);

/**
 * Bytes that look random and are the same for the same seed: AES-128-CTR over zeros (NIST SP 800-38A §6.5), keyed
 * by the seed. The counter mode gives any range at once, at the speed of memory, whatever the size.
 */
export class RandomContent {
  readonly size: number;
  readonly #key: Buffer;

  /** @param size in bytes. */
  constructor(seed: string, size: number) {
    this.size = size;
    this.#key = createHash('sha256').update(seed).digest().subarray(0, 16);
  }

  /** The bytes from `start` (inclusive) to `end` (exclusive), in pieces of at most 1 MiB. */
  *pieces(start = 0, end = this.size): Generator<Buffer> {
    const cipher = this.#cipherAt(start);
    for (let at = start; at < end; at += pieceBytes) {
      yield cipher.update(zeros.subarray(0, Math.min(pieceBytes, end - at)));
    }
  }

  /** Compares bytes that arrive in order from `start` on: true as long as each chunk is as it must be. */
  checker(start = 0): (chunk: Buffer) => boolean {
    const cipher = this.#cipherAt(start);
    return (chunk) => {
      for (let at = 0; at < chunk.length; at += pieceBytes) {
        const part = chunk.subarray(at, at + pieceBytes);
        if (!cipher.update(zeros.subarray(0, part.length)).equals(part)) return false;
      }
      return true;
    };
  }

  /** The range as a stream that makes bytes only as fast as they are taken. */
  stream(start = 0, end = this.size): Readable {
    return Readable.from(this.pieces(start, end), { objectMode: false, highWaterMark: pieceBytes });
  }

  /** The range in one buffer: for contents of a test's own small size. */
  bytes(start = 0, end = this.size): Buffer {
    return Buffer.concat([...this.pieces(start, end)]);
  }

  /** Lower-case hex SHA-256 of everything. */
  sha256(): string {
    const hash = createHash('sha256');
    for (const piece of this.pieces()) hash.update(piece);
    return hash.digest('hex');
  }

  /** Writes everything to a file. */
  async writeTo(file: string): Promise<void> {
    await pipeline(this.stream(), createWriteStream(file));
  }

  #cipherAt(start: number): Cipheriv {
    const counter = Buffer.alloc(aesBlock);
    counter.writeBigUInt64BE(BigInt(Math.floor(start / aesBlock)), 8);
    const cipher = createCipheriv('aes-128-ctr', this.#key, counter);
    cipher.update(zeros.subarray(0, start % aesBlock));
    return cipher;
  }
}

/** Passes a source on and keeps the SHA-256 of what was taken from it. */
export class HashedSource {
  readonly #hash = createHash('sha256');
  readonly #source: Iterable<Buffer>;

  constructor(source: Iterable<Buffer>) {
    this.#source = source;
  }

  /** The source's bytes as a stream. To be taken once. */
  stream(): Readable {
    return Readable.from(this.#pieces(), { objectMode: false, highWaterMark: pieceBytes });
  }

  /** Lower-case hex SHA-256, once the stream has been read to its end. */
  sha256(): string {
    return this.#hash.digest('hex');
  }

  *#pieces(): Generator<Buffer> {
    for (const piece of this.#source) {
      this.#hash.update(piece);
      yield piece;
    }
  }
}
