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
 * are its own: they stay when the next one is asked for. Memory: one file and one chunk.
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
      const length = await reader.take(LENGTH_BYTES, { mayEnd: true });
      if (length === undefined) return;
      if (index === limits.files)
        throw refused('too_large', index, `is one too many: a batch has at most ${limits.files} files`);
      const headerBytes = length.length === LENGTH_BYTES ? length.readUInt32BE() : undefined;
      if (headerBytes === undefined) throw cutShort(index);
      if (headerBytes > limits.headerBytes)
        throw refused(
          'too_large',
          index,
          `has a header of ${headerBytes} bytes; at most ${limits.headerBytes} are allowed`,
        );
      const header = parseHeader(await whole(reader, headerBytes, index), index);
      const { size } = header;
      if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
        throw refused('invalid_request', index, 'has no size that is a whole number of bytes');
      if (size > limits.fileBytes)
        throw refused(
          'too_large',
          index,
          `has ${size} bytes; a file of a batch has at most ${limits.fileBytes}`,
        );
      yield { index, header, bytes: await whole(reader, size, index) };
    }
  } finally {
    await reader.close();
  }
}

async function whole(reader: ExactReader, bytes: number, index: number): Promise<Buffer> {
  const taken = await reader.take(bytes, { mayEnd: false });
  if (taken?.length !== bytes) throw cutShort(index);
  return taken;
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
  #received = 0;

  constructor(source: AsyncIterable<Uint8Array>, totalBytes: number) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.#totalBytes = totalBytes;
  }

  /** A buffer of `bytes` bytes of its own; shorter when the stream ends before, undefined when it has ended already and may. */
  async take(bytes: number, { mayEnd }: { mayEnd: boolean }): Promise<Buffer | undefined> {
    const target = Buffer.allocUnsafeSlow(bytes);
    let filled = 0;
    while (filled < bytes) {
      if (this.#at === this.#chunk.byteLength && !(await this.#next())) break;
      const length = Math.min(bytes - filled, this.#chunk.byteLength - this.#at);
      target.set(this.#chunk.subarray(this.#at, this.#at + length), filled);
      this.#at += length;
      filled += length;
    }
    if (filled === 0 && bytes > 0 && mayEnd) return undefined;
    return target.subarray(0, filled);
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
