import { StreamDigest } from '@holdfast/bytes/sha256';
import { SourceReader } from '@holdfast/bytes/source-reader';

/** Bytes taken from a source, with their SHA-256. */
export interface GatheredPart {
  bytes: Buffer;
  /** Lower-case hex. */
  sha256: string;
}

/** Memory that a body of unknown size begins with. */
const firstBytes = 64 * 1024;

function grown(memory: Buffer, filled: number, bytes: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(bytes);
  memory.copy(larger, 0, 0, filled);
  return larger;
}

/** Lays the chunks of a source into buffers of the size that is asked for, hashing each part and the whole as they come. */
export class PartGatherer implements AsyncDisposable {
  /** Of all bytes taken so far. */
  readonly digest = new StreamDigest();
  readonly #reader: SourceReader;
  /** What the last chunk had more than there was room; the source may reuse its memory only after the next pull. */
  #rest: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>, signal: AbortSignal, doing: string) {
    this.#reader = new SourceReader(source, signal, doing);
  }

  /**
   * Fills a buffer, and less of it only when the source ends.
   * @param buffer memory to fill, or how much to gather at most into memory that grows with what comes
   * @param check told the bytes of the whole with every chunk; throws when they are too many
   * @throws what the source throws, as it is; HoldfastError `cancelled`
   */
  async fill(buffer: Buffer | number, check: (bytes: number) => void): Promise<GatheredPart> {
    const limit = typeof buffer === 'number' ? buffer : buffer.byteLength;
    let memory = typeof buffer === 'number' ? Buffer.allocUnsafeSlow(Math.min(limit, firstBytes)) : buffer;
    const part = new StreamDigest();
    while (part.bytes < limit && (await this.hasMore())) {
      const piece = this.#rest.subarray(0, limit - part.bytes);
      check(this.digest.bytes + this.#rest.byteLength);
      if (part.bytes + piece.byteLength > memory.byteLength) {
        const wanted = Math.max(memory.byteLength * 4, part.bytes + piece.byteLength);
        memory = grown(memory, part.bytes, Math.min(limit, wanted));
      }
      memory.set(piece, part.bytes);
      part.update(piece);
      this.digest.update(piece);
      this.#rest = this.#rest.subarray(piece.byteLength);
    }
    return { bytes: memory.subarray(0, part.bytes), sha256: part.hex() };
  }

  /** Whether the source has another byte. */
  async hasMore(): Promise<boolean> {
    while (this.#rest.byteLength === 0) {
      const chunk = await this.#reader.next();
      if (chunk === undefined) return false;
      this.#rest = chunk;
    }
    return true;
  }

  /** Lets the source clean up. Its failure to do so never hides why the gathering ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]();
  }
}
