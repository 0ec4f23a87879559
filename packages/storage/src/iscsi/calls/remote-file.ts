import { HoldfastError } from '@holdfast/contract/errors';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import type { ByteRange, OpenFile, StorageEntry } from '../../backend.ts';
import { openedRange } from '../../path-rules/opened-range.ts';
import type { Caller } from './caller.ts';

const chunkBytes = 256 * 1024;
/** Reads on their way at once. */
const readsAhead = 4;

/** A file that another process has open. */
export class RemoteFile implements OpenFile {
  readonly entry: StorageEntry;
  readonly #caller: Caller;
  readonly #fileId: number;

  constructor(caller: Caller, fileId: number, entry: StorageEntry) {
    this.#caller = caller;
    this.#fileId = fileId;
    this.entry = entry;
  }

  stream(range?: ByteRange, options: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
    const { start, end } = openedRange(this.entry, range);
    return this.#read(start, end, options.signal);
  }

  async *#read(start: number, end: number, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const label = `Reading ${this.entry.path}`;
    throwIfCancelled(signal, label);
    const ahead: Promise<Buffer>[] = [];
    let asked = start;
    const ask = (): void => {
      if (asked >= end) return;
      const length = Math.min(chunkBytes, end - asked);
      const reading = this.#readExactly(asked, length);
      // Its failure is met when its turn comes; until then it must not count as unhandled.
      reading.catch(() => undefined);
      ahead.push(reading);
      asked += length;
    };
    for (let count = 0; count < readsAhead; count += 1) ask();
    try {
      for (let reading = ahead.shift(); reading !== undefined; reading = ahead.shift()) {
        const chunk = await reading;
        throwIfCancelled(signal, label);
        ask();
        yield chunk;
      }
    } finally {
      // A caller that stops early may close the file next: no read may still be under way.
      await Promise.allSettled(ahead);
    }
  }

  async #readExactly(position: number, length: number): Promise<Buffer> {
    const bytes = await this.#readOnce(position, length);
    if (bytes.byteLength === length) return bytes;
    const end = position + bytes.byteLength;
    const text = `${this.entry.path} became shorter while it was read: it ends at byte ${end}. Read it again.`;
    throw new HoldfastError('conflict', text, { retryable: true });
  }

  #readOnce(position: number, length: number): Promise<Buffer> {
    const label = `Reading ${this.entry.path}`;
    return this.#caller.callForBytes('read', { fileId: this.#fileId, position, length }, { label });
  }

  async readInto(buffer: Uint8Array, position: number): Promise<number> {
    let filled = 0;
    while (filled < buffer.byteLength) {
      const bytes = await this.#readOnce(position + filled, Math.min(chunkBytes, buffer.byteLength - filled));
      buffer.set(bytes, filled);
      filled += bytes.byteLength;
      if (bytes.byteLength === 0) break;
    }
    return filled;
  }

  revalidate(): Promise<StorageEntry> {
    return this.#caller.call(
      'revalidate',
      { fileId: this.#fileId },
      { label: `Looking at ${this.entry.path}` },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // With the process that has the file open, the open file is gone too.
    await this.#caller
      .call('close', { fileId: this.#fileId }, { label: `Closing ${this.entry.path}` })
      .catch(() => undefined);
  }
}
