import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled, unlessCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { ByteRange, OpenFile, StorageEntry } from '../../backend.ts';
import { openedRange } from '../../path-rules/opened-range.ts';
import { isFailure, nfsError } from '../failure.ts';
import type { NfsAttributes, NfsFile } from '../file-system.ts';
import { nfsStatus } from '../status.ts';
import { entryOf } from './entry.ts';
import { readFully } from './small-file.ts';

/** Reads under way for one stream; with their bytes they are all the memory that it takes. */
const READS_AHEAD = 8;
/** Bytes of one read. */
const READ_CHUNK_BYTES = 512 * 1024;

/** An open file of a share. */
export class ShareFile implements OpenFile {
  readonly entry: StorageEntry;
  readonly #file: NfsFile;

  constructor(file: NfsFile, path: BackendPath, attributes: NfsAttributes) {
    this.#file = file;
    this.entry = entryOf(path, attributes);
  }

  /**
   * The bytes of a range, in chunks of at most 512 KiB that the caller may keep; eight are read ahead.
   * @throws HoldfastError `range_not_satisfiable`; while reading `conflict` when the file has become shorter or was
   *   replaced on a server that keeps no replaced files open
   */
  stream(range?: ByteRange, options: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
    const { start, end } = openedRange(this.entry, range);
    return this.#read(start, end, options.signal);
  }

  async *#read(start: number, end: number, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const doing = `Reading ${this.entry.path}`;
    throwIfCancelled(signal, doing);
    const chunkBytes = Math.min(READ_CHUNK_BYTES, this.#file.maxReadBytes);
    const ahead: Promise<Buffer>[] = [];
    for (let position = start, next = start; position < end;) {
      while (ahead.length < READS_AHEAD && next < end) {
        const chunk = this.#chunk(next, Math.min(chunkBytes, end - next));
        // Its failure is met in its turn; until then it must not count as unhandled.
        chunk.catch(() => undefined);
        ahead.push(chunk);
        next += chunkBytes;
      }
      const first = ahead.shift();
      if (first === undefined) return;
      const bytes = await unlessCancelled(signal, doing, () => first);
      position += bytes.byteLength;
      yield bytes;
    }
  }

  async #chunk(position: number, length: number): Promise<Buffer> {
    try {
      const bytes = await readFully(this.#file, position, length);
      if (bytes.byteLength === length) return bytes;
      const end = position + bytes.byteLength;
      const text = `${this.entry.path} became shorter while it was read: it ends at byte ${end}. Read it again.`;
      throw new HoldfastError('conflict', text, { retryable: true });
    } catch (error) {
      throw this.#problem(error, 'Reading');
    }
  }

  async revalidate(): Promise<StorageEntry> {
    try {
      return entryOf(this.entry.path, await this.#file.attributes());
    } catch (error) {
      throw this.#problem(error, 'Looking at');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }

  #problem(error: unknown, verb: string): HoldfastError {
    const { path } = this.entry;
    if (!isFailure(error, nfsStatus.STALE, nfsStatus.FHEXPIRED, nfsStatus.BADHANDLE)) {
      return nfsError(error, `${verb} ${path}`, 'read');
    }
    const text = `${path} was removed or replaced on the server while it was open. Open it again.`;
    return new HoldfastError('conflict', text, { cause: error, retryable: true });
  }
}
