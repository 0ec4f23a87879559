import { HoldfastError } from '@holdfast/contract/errors';

/** What a stream of framed files may be made of at most; bytes. */
export interface BatchLimits {
  files: number;
  headerBytes: number;
  fileBytes: number;
  totalBytes: number;
}

/** One file of a batch: its header as it was parsed from JSON, and its bytes. */
export interface BatchFrame {
  /** Counts from 0. */
  index: number;
  header: Record<string, unknown>;
  bytes: Buffer;
}

const LENGTH_BYTES = 4;
/** Small files lie side by side in buffers of so many bytes: a buffer for each costs more than copying 8 KiB into it. */
const SLAB_BYTES = 512 * 1024;

/** What goes before a file's bytes: the length of the header as four bytes, big-endian, then the header as JSON in UTF-8. */
export function encodeBatchHeader(header: object): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const framed = Buffer.allocUnsafe(LENGTH_BYTES + json.byteLength);
  framed.writeUInt32BE(json.byteLength);
  json.copy(framed, LENGTH_BYTES);
  return framed;
}

/**
 * The files of a batch, one after the other as they arrive; how the stream is cut into chunks does not matter. A file's bytes
 * stay when the next one is asked for. Memory: one file, one chunk and half a MiB for small files to share.
 * @throws HoldfastError `incomplete_body` when the stream ends within a file, `too_large` beyond the limits, `invalid_request`
 *   for a header that is no JSON object with a `size`; `errors` name the file by its number
 */
export async function* decodeBatch(
  source: AsyncIterable<Uint8Array>,
  limits: BatchLimits,
): AsyncGenerator<BatchFrame, void, void> {
  const reader = new ExactReader(source, limits.totalBytes);
  try {
    for (let index = 0; ; index += 1) {
      const length = await reader.take(LENGTH_BYTES);
      if (length.length === 0) return;
      if (index === limits.files)
        throw refused('too_large', index, `is one too many: a batch has at most ${limits.files} files`);
      if (length.length < LENGTH_BYTES) throw cutShort(index);
      const headerBytes = length.readUInt32BE();
      if (headerBytes > limits.headerBytes)
        throw refused(
          'too_large',
          index,
          `has a header of ${headerBytes} bytes; at most ${limits.headerBytes} are allowed`,
        );
      const json = await reader.take(headerBytes);
      if (json.length < headerBytes) throw cutShort(index);
      const header = parseHeader(json, index);
      const { size } = header;
      if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
        throw refused('invalid_request', index, 'has no size that is a whole number of bytes');
      if (size > limits.fileBytes)
        throw refused(
          'too_large',
          index,
          `has ${size} bytes; a file of a batch has at most ${limits.fileBytes}`,
        );
      const bytes = await reader.takeToKeep(size);
      if (bytes.length < size) throw cutShort(index);
      yield { index, header, bytes };
    }
  } finally {
    await reader.close();
  }
}

function parseHeader(json: Buffer, index: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(json.toString('utf8'));
  } catch (error) {
    throw refused('invalid_request', index, 'has a header that is no JSON', error);
  }
  if (!isObject(value)) throw refused('invalid_request', index, 'has a header that is no JSON object');
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function cutShort(index: number): HoldfastError {
  return refused('incomplete_body', index, 'is cut short: the batch ended within it');
}

function refused(
  code: 'too_large' | 'invalid_request' | 'incomplete_body',
  index: number,
  message: string,
  cause?: unknown,
): HoldfastError {
  return new HoldfastError(code, `File ${index} of the batch ${message}.`, {
    cause,
    errors: [{ field: `files.${index}`, message }],
  });
}

/** Hands out exactly as many bytes as are asked for. */
class ExactReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #totalBytes: number;
  #chunk: Uint8Array = new Uint8Array();
  #at = 0;
  /** What is left of the buffer for files to share. */
  #slab: Buffer = Buffer.alloc(0);
  #received = 0;

  constructor(source: AsyncIterable<Uint8Array>, totalBytes: number) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.#totalBytes = totalBytes;
  }

  /** The next `bytes` bytes, until more are asked for; fewer when the stream ends before. */
  async take(bytes: number): Promise<Buffer> {
    if (this.#at === this.#chunk.byteLength) await this.#next();
    const start = this.#at;
    if (this.#chunk.byteLength - start < bytes) return this.#fill(Buffer.allocUnsafe(bytes));
    this.#at += bytes;
    return Buffer.from(this.#chunk.buffer, this.#chunk.byteOffset + start, bytes);
  }

  /** The next `bytes` bytes, for good; fewer when the stream ends before. */
  takeToKeep(bytes: number): Promise<Buffer> {
    if (bytes * 4 > SLAB_BYTES) return this.#fill(Buffer.allocUnsafeSlow(bytes));
    if (this.#slab.byteLength < bytes) this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    const target = this.#slab.subarray(0, bytes);
    this.#slab = this.#slab.subarray(bytes);
    return this.#fill(target);
  }

  async #fill(target: Buffer): Promise<Buffer> {
    let filled = 0;
    while (filled < target.byteLength) {
      if (this.#at === this.#chunk.byteLength && !(await this.#next())) break;
      const length = Math.min(target.byteLength - filled, this.#chunk.byteLength - this.#at);
      target.set(this.#chunk.subarray(this.#at, this.#at + length), filled);
      this.#at += length;
      filled += length;
    }
    return filled === target.byteLength ? target : target.subarray(0, filled);
  }

  /** Lets the source clean up when it was not read to its end. */
  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  async #next(): Promise<boolean> {
    const result = await this.#iterator.next();
    if (result.done === true) return false;
    this.#chunk = result.value;
    this.#at = 0;
    this.#received += this.#chunk.byteLength;
    if (this.#received > this.#totalBytes)
      throw new HoldfastError('too_large', `A batch has at most ${this.#totalBytes} bytes; send several.`);
    return true;
  }
}
