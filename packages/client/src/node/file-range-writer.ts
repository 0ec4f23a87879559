import type { FileHandle } from 'node:fs/promises';
import type { ByteRange } from '@holdfast/bytes/ranges';

/** Bytes that one system call writes, about; as many again gather meanwhile. */
const GATHERED_BYTES = 1024 * 1024;

/** Writes bytes in order from a position on, without copying them, while the next ones arrive. */
export class RangeWriter {
  readonly #handle: FileHandle;
  readonly #onWritten: (range: ByteRange) => void;
  #position: number;
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(handle: FileHandle, position: number, onWritten: (range: ByteRange) => void) {
    this.#handle = handle;
    this.#position = position;
    this.#onWritten = onWritten;
  }

  /** Takes the next bytes; they must not be changed any more. Waits when the disk is behind. */
  async append(chunk: Uint8Array): Promise<void> {
    this.#gathered.push(chunk);
    this.#gatheredBytes += chunk.byteLength;
    if (this.#gatheredBytes >= GATHERED_BYTES) await this.#flush();
  }

  /** Writes what is left. To be called after a failure of the source too: what has arrived need not come again. */
  async finish(): Promise<void> {
    await this.#flush();
    await this.#writing;
  }

  async #flush(): Promise<void> {
    await this.#writing;
    const [chunks, bytes] = [this.#gathered, this.#gatheredBytes];
    if (bytes === 0) return;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    const writing = this.#write(chunks, bytes);
    // The next call meets the failure.
    writing.catch(() => undefined);
    this.#writing = writing;
  }

  async #write(chunks: Uint8Array[], bytes: number): Promise<void> {
    const start = this.#position;
    const end = start + bytes;
    let left = chunks;
    while (this.#position < end) {
      const { bytesWritten } = await this.#handle.writev(left, this.#position);
      this.#position += bytesWritten;
      left = this.#position < end ? without(left, bytesWritten) : [];
    }
    this.#onWritten({ start, end });
  }
}

function without(chunks: Uint8Array[], bytes: number): Uint8Array[] {
  let skipped = bytes;
  const left: Uint8Array[] = [];
  for (const chunk of chunks) {
    if (skipped < chunk.byteLength) left.push(chunk.subarray(skipped));
    skipped = Math.max(0, skipped - chunk.byteLength);
  }
  return left;
}
