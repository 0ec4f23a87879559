import { CoalescedSync } from '@holdfast/bytes/coalesced-sync';
import { errnoOf, fileSystemError } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import type { FileHandle } from 'node:fs/promises';
import { open, rm } from 'node:fs/promises';

/** Bytes of one read: large ones cost a third of the CPU of small ones. */
const readBytes = 512 * 1024;
const writing = "Writing to the hub's spool";
const reading = "Reading the hub's spool";

/** A file of the spool that is written and read at any place. */
export class SpoolFile implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly #sync: CoalescedSync;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
    this.#sync = new CoalescedSync(() => handle.datasync());
  }

  /** Opens a file, making it when it is not there. @throws HoldfastError */
  static async open(path: string): Promise<SpoolFile> {
    try {
      return new SpoolFile(await openOrMake(path));
    } catch (error) {
      throw fileSystemError(error, writing);
    }
  }

  /** A file without a name: it is gone when it is closed, however the process ends. */
  static async openNameless(path: string): Promise<SpoolFile> {
    const file = await SpoolFile.open(path);
    await rm(path, { force: true });
    return file;
  }

  /** The number of its descriptor, for worker threads; valid until it is disposed. */
  get fd(): number {
    return this.#handle.fd;
  }

  /** Writes all of it. @throws HoldfastError `storage_full`, `backend_unavailable` */
  async writeAt(bytes: Uint8Array, position: number): Promise<void> {
    try {
      for (let done = 0; done < bytes.byteLength;) {
        const rest = bytes.byteLength - done;
        const { bytesWritten } = await this.#handle.write(bytes, done, rest, position + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw fileSystemError(error, writing);
    }
  }

  /** Resolves to the bytes that it has. */
  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  /** Makes what was written before this call durable; callers at the same time share one wait. */
  async sync(): Promise<void> {
    try {
      await this.#sync.cover();
    } catch (error) {
      throw fileSystemError(error, writing);
    }
  }

  /** Sets its size; what is new reads as zeros. */
  async resize(bytes: number): Promise<void> {
    try {
      await this.#handle.truncate(bytes);
    } catch (error) {
      throw fileSystemError(error, writing);
    }
  }

  /**
   * The bytes from `start` (inclusive) to `end` (exclusive). Each chunk is memory of its own.
   * @throws HoldfastError `file_not_found` when the file ends before, `backend_unavailable`
   */
  async *chunks(start: number, end: number): AsyncGenerator<Buffer> {
    for (let position = start; position < end;) {
      const buffer = Buffer.allocUnsafeSlow(Math.min(readBytes, end - position));
      const bytesRead = await this.#readInto(buffer, position);
      if (bytesRead === 0) {
        const text = `${reading} failed: a file there ends at byte ${position} and not at ${end}. Begin the upload anew.`;
        throw new HoldfastError('file_not_found', text);
      }
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async #readInto(buffer: Buffer, position: number): Promise<number> {
    try {
      return (await this.#handle.read(buffer, 0, buffer.byteLength, position)).bytesRead;
    } catch (error) {
      throw fileSystemError(error, reading, 'read');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

async function openOrMake(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    // Not 'a+': on Linux a file that is open for appending takes no positions.
    return open(path, 'wx+', 0o600);
  }
}
