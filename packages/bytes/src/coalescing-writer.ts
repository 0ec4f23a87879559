import type { FileHandle } from 'node:fs/promises';
import { BufferPool } from './buffer-pool.ts';
import { StreamDigest } from './sha256.ts';

/** Bytes of one write to the disk: request bodies come in 64 KiB pieces, and large writes cost a third of the CPU. */
export const WRITE_BUFFER_BYTES = 1024 * 1024;

const writeBuffers = new BufferPool({ bufferBytes: WRITE_BUFFER_BYTES, maxIdle: 8 });
/** Gathers chunks into two buffers in turn: one fills while the other is hashed and written. */
export class CoalescingWriter {
  readonly digest = new StreamDigest();
  readonly #handle: FileHandle;
  readonly #firstBytes: number;
  #filling: Buffer | undefined;
  #inFlight: Buffer | undefined;
  #filled = 0;
  #position = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(handle: FileHandle, expectedSize: number | undefined) {
    this.#handle = handle;
    this.#firstBytes = Math.max(1, Math.min(expectedSize ?? 64 * 1024, WRITE_BUFFER_BYTES));
  }

  async append(chunk: Uint8Array): Promise<void> {
    for (let offset = 0; offset < chunk.byteLength;) {
      const buffer = (this.#filling ??= this.#newBuffer());
      const length = Math.min(buffer.byteLength - this.#filled, chunk.byteLength - offset);
      buffer.set(chunk.subarray(offset, offset + length), this.#filled);
      this.#filled += length;
      offset += length;
      if (this.#filled === buffer.byteLength) await this.#flush(buffer);
    }
  }

  /** Writes what is left; resolves when every byte is with the system. */
  async finish(): Promise<void> {
    if (this.#filling !== undefined && this.#filled > 0) await this.#flush(this.#filling);
    await this.#writing;
  }

  /** Gives the buffers back, after the write that may still use one of them. Call it once. */
  async release(): Promise<void> {
    await this.#writing.catch(() => undefined);
    for (const buffer of [this.#filling, this.#inFlight]) {
      if (buffer?.byteLength === WRITE_BUFFER_BYTES) writeBuffers.give(buffer);
    }
  }

  /** A small file gets a small buffer: a megabyte for each of many is felt. */
  #newBuffer(): Buffer {
    const small = this.#position === 0 && this.#firstBytes < WRITE_BUFFER_BYTES;
    return small ? Buffer.allocUnsafe(this.#firstBytes) : writeBuffers.take();
  }

  async #flush(buffer: Buffer): Promise<void> {
    await this.#writing;
    const free = this.#inFlight;
    const full = buffer.subarray(0, this.#filled);
    this.#writing = this.#writeAll(full, this.#position);
    // The failure is met at the next await of #writing; until then it must not count as unhandled.
    this.#writing.catch(() => undefined);
    this.digest.update(full);
    this.#position += this.#filled;
    this.#filled = 0;
    this.#inFlight = buffer;
    this.#filling = free?.byteLength === WRITE_BUFFER_BYTES ? free : undefined;
  }

  async #writeAll(bytes: Buffer, position: number): Promise<void> {
    for (let done = 0; done < bytes.byteLength;) {
      const { bytesWritten } = await this.#handle.write(
        bytes,
        done,
        bytes.byteLength - done,
        position + done,
      );
      done += bytesWritten;
    }
  }
}
