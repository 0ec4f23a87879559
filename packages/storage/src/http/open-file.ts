import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { ByteRange, OpenFile, StorageEntry } from '../backend.ts';
import { openedRange } from '../path-rules/opened-range.ts';
import type { Segments } from './address.ts';
import { validatorOf } from './entry.ts';
import { garbledReply, statusError } from './failure.ts';
import { lookUpAt } from './lookup.ts';
import { isMeasuredOnly } from './measuring.ts';
import { parseContentRange, traitsOf } from './reply-traits.ts';
import type { HttpReply } from './reply.ts';
import { isPassing, pause, pauseBefore } from './retrying.ts';
import type { Site } from './site.ts';

/**
 * One version of a file on a web server. Every reply that a read is made of must have the validator of that version;
 * a read that breaks off goes on where it stopped, by a range request, until the time limit passes without a byte.
 */
export class HttpFile implements OpenFile {
  readonly entry: StorageEntry;
  readonly #site: Site;
  readonly #segments: Segments;

  constructor(site: Site, segments: Segments, entry: StorageEntry) {
    this.#site = site;
    this.#segments = segments;
    this.entry = entry;
  }

  /**
   * The bytes of a range as they come from the network; the caller may keep each chunk.
   * @throws HoldfastError `range_not_satisfiable`; while reading `conflict` when the file is another one now,
   *   `backend_unavailable`, `cancelled`
   */
  stream(range?: ByteRange, options: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
    const { start, end } = openedRange(this.entry, range);
    return this.#read(start, end, options.signal);
  }

  async revalidate(): Promise<StorageEntry> {
    const entry = await lookUpAt(this.#site, this.#segments, this.entry.path);
    if (entry === null) throw await this.#site.notFound(this.entry.path);
    return entry;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async *#read(start: number, end: number, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const doing = `Reading ${this.entry.path}`;
    let position = start;
    let lastProgress = performance.now();
    for (let attempt = 0; position < end; attempt += 1) {
      throwIfCancelled(signal, doing);
      try {
        for await (const chunk of this.#readOnce(position, end, doing, signal)) {
          throwIfCancelled(signal, doing);
          position += chunk.byteLength;
          yield chunk;
          attempt = 0;
          lastProgress = performance.now();
        }
        if (position < end) throw garbledReply(doing, `it ends at byte ${position}`);
      } catch (error) {
        const wait = pauseBefore(attempt + 1);
        const isLate = performance.now() + wait - lastProgress >= this.#site.connection.timeLimitMs;
        if (!isPassing(error) || isLate || !this.#canResume) throw error;
        await pause(wait, signal);
      }
    }
  }

  async *#readOnce(
    start: number,
    end: number,
    doing: string,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    const isPart = start > 0 || end < this.entry.size;
    const url = this.#site.addresses.of(this.#segments);
    const headers: Record<string, string> = isPart ? { range: `bytes=${start}-${end - 1}` } : {};
    const reply = await this.#site.connection.send({ method: 'GET', url, headers, doing, signal });
    try {
      let position = await this.#requireVersion(reply, doing, start, end);
      for await (const chunk of reply.chunks()) {
        // A server that ignores the range (RFC 9110 §14.2) sends all: what is not wanted is passed over.
        const wanted = chunk.subarray(Math.max(0, start - position), Math.max(0, end - position));
        position += chunk.byteLength;
        if (position > this.entry.size) throw this.#changed();
        if (wanted.byteLength > 0) yield wanted;
        if (position > end || (position === end && reply.status === 200 && end < this.entry.size)) return;
      }
    } finally {
      await reply.discard();
    }
  }

  /** Without a time and an ETag nothing tells whether the rest would be of the same version. */
  get #canResume(): boolean {
    return !isMeasuredOnly(this.entry.validator);
  }

  /** Checks that a reply is of this version; resolves to the position of its first byte. */
  async #requireVersion(reply: HttpReply, doing: string, start: number, end: number): Promise<number> {
    const { path, size, validator } = this.entry;
    const { status } = reply;
    if (status === 404 || status === 410) throw await this.#site.notFound(path);
    if (status === 416) throw this.#changed();
    if (status !== 200 && status !== 206) throw statusError(status, doing);
    const traits = traitsOf(reply, doing);
    if (traits.size !== undefined && traits.size !== size) throw this.#changed();
    const now = validatorOf({ ...traits, size });
    if (now !== undefined && now !== validator) throw this.#changed();
    if (status === 200) return 0;
    const range = parseContentRange(reply.header('content-range'));
    if (range?.start !== start || range.end > end)
      throw garbledReply(doing, 'it has other bytes than were asked for');
    return start;
  }

  #changed(): HoldfastError {
    const text = `${this.entry.path} was changed on the web server since it was opened. Read it again.`;
    return new HoldfastError('conflict', text, { retryable: true });
  }
}
