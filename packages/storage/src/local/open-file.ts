import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { fileSystemError } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { ByteRange, OpenFile, StorageEntry } from '../backend.ts';
import { openedRange } from '../path-rules/opened-range.ts';
import { entryOf } from './entry.ts';

/** Bytes of one read of `stream`; larger ones gain little, smaller ones cost throughput. */
const READ_CHUNK_BYTES = 256 * 1024;

/** An open file of a local tree. A later overwrite of its path renames over it and leaves these bytes alone. */
export class LocalFile implements OpenFile {
  readonly entry: StorageEntry;
  readonly #handle: FileHandle;

  constructor(handle: FileHandle, path: BackendPath, stats: BigIntStats) {
    this.#handle = handle;
    this.entry = entryOf(path, stats);
  }

  get fd(): number {
    return this.#handle.fd;
  }

  /**
   * The bytes of a range in chunks of 256 KiB; the next one is read while the caller is busy with the last. Every
   * chunk is memory of its own: the caller may keep it.
   * @throws HoldfastError `range_not_satisfiable`; while reading `conflict` when the file has become shorter
   */
  stream(range?: ByteRange, options: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
    const { start, end } = openedRange(this.entry, range);
    return this.#read(start, end, options.signal);
  }

  async *#read(start: number, end: number, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const doing = `Reading ${this.entry.path}`;
    throwIfCancelled(signal, doing);
    let position = start;
    let ahead = this.#chunk(position, end);
    try {
      while (position < end) {
        const chunk = await ahead;
        throwIfCancelled(signal, doing);
        position += chunk.byteLength;
        ahead = this.#chunk(position, end);
        // Its failure is met at the next turn; until then it must not count as unhandled.
        ahead.catch(() => undefined);
        yield chunk;
      }
    } finally {
      // A caller that stops early may close the file next: no read may still be under way.
      await ahead.catch(() => undefined);
    }
  }

  async #chunk(position: number, end: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(Math.min(READ_CHUNK_BYTES, end - position));
    if (buffer.byteLength === 0) return buffer;
    const bytesRead = await this.readInto(buffer, position);
    if (bytesRead === 0) {
      const text = `${this.entry.path} became shorter while it was read: it ends at byte ${position}. Read it again.`;
      throw new HoldfastError('conflict', text, { retryable: true });
    }
    return buffer.subarray(0, bytesRead);
  }

  // FileHandle.read costs the same as fs.read on the descriptor (34 µs for 256 KiB), and close() waits for it.
  async readInto(buffer: Uint8Array, position: number): Promise<number> {
    try {
      return (await this.#handle.read(buffer, 0, buffer.byteLength, position)).bytesRead;
    } catch (error) {
      throw fileSystemError(error, `Reading ${this.entry.path}`, 'read');
    }
  }

  async revalidate(): Promise<StorageEntry> {
    try {
      return entryOf(this.entry.path, await this.#handle.stat({ bigint: true }));
    } catch (error) {
      throw fileSystemError(error, `Looking at ${this.entry.path}`, 'read');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}
