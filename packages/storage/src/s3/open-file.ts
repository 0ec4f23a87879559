import type { BackendPath } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { noteForeignBytes } from '@holdfast/bytes/foreign-memory';
import { HoldfastError } from '@holdfast/contract/errors';
import { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { ByteRange, OpenFile, StorageEntry } from '../backend.ts';
import { openedRange } from '../path-rules/opened-range.ts';
import type { Bucket } from './bucket.ts';
import type { Cdn } from './cdn.ts';
import { fileEntry } from './entry.ts';
import { failureOf, s3Error, S3Failure } from './failure.ts';
import { headObject, openRange } from './objects.ts';
import type { StoredObject } from './objects.ts';
import { Patience } from './patience.ts';

/** One version of an object, known by its ETag. Nothing is held open between reads. */
export class S3File implements OpenFile {
  readonly entry: StorageEntry;
  readonly #bucket: Bucket;
  readonly #cdn: Cdn | undefined;
  readonly #key: string;
  readonly object: StoredObject;
  readonly #closing = new AbortController();

  /** @param place how it is called in errors and entries, and its key in the bucket */
  constructor(
    bucket: Bucket,
    cdn: Cdn | undefined,
    place: { path: BackendPath; key: string },
    object: StoredObject,
  ) {
    this.#bucket = bucket;
    this.#cdn = cdn;
    this.#key = place.key;
    this.object = object;
    this.entry = fileEntry(place.path, object);
  }

  /**
   * The bytes of a range as they come, asked for with the ETag; after trouble the rest is asked for again, until the
   * time limit has passed without a byte. Every chunk is memory of its own.
   * @throws HoldfastError `range_not_satisfiable`; while reading `conflict` when the file is another one by now
   */
  stream(range?: ByteRange, options: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
    const { start, end } = openedRange(this.entry, range);
    return this.#read(start, end, options.signal);
  }

  async *#read(start: number, end: number, caller: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const doing = `Reading ${this.entry.path}`;
    const own = [this.#closing.signal, this.#bucket.connection.signalFor(caller)];
    const signal = AbortSignal.any(own);
    const patience = new Patience('long', this.#bucket.connection.limitMs);
    let position = start;
    let cdn = this.#cdn;
    throwIfCancelled(signal, doing);
    while (position < end) {
      const startedAt = performance.now();
      let body: Readable | undefined;
      try {
        body = await this.#openBody(cdn, { start: position, end }, doing, signal);
        for await (const chunk of chunksOf(body)) {
          throwIfCancelled(signal, doing);
          if (position + chunk.byteLength > end) throw this.#changed('longer');
          position += chunk.byteLength;
          patience.progress();
          yield chunk;
        }
        if (position < end) throw new S3Failure({ code: 'ECONNRESET', message: 'the answer ended early' });
      } catch (error) {
        throwIfCancelled(signal, doing);
        if (error instanceof HoldfastError) throw error;
        const failure = failureOf(error);
        if (cdn !== undefined) {
          this.#bucket.connection.logger?.warn(
            { path: this.entry.path, err: failure },
            'the CDN failed; S3 is read',
          );
          cdn = undefined;
          continue;
        }
        if (failure.isPrecondition || failure.isMissing) throw this.#changed('another one');
        const mayPass = failure.isTransient && (await patience.goOn(startedAt, signal, doing));
        if (!mayPass) throw s3Error(failure, doing, 'read', signal);
      } finally {
        body?.destroy();
      }
    }
  }

  async #openBody(
    cdn: Cdn | undefined,
    range: ByteRange,
    doing: string,
    signal: AbortSignal,
  ): Promise<Readable> {
    const { etag, size } = this.object;
    if (cdn !== undefined) return cdn.openRange(this.#key, { etag, size }, range, signal);
    const call = { doing, signal, patience: 'none' } as const;
    return openRange(this.#bucket.connection, this.#key, etag, range, call);
  }

  #changed(how: string): HoldfastError {
    const text = `${this.entry.path} became ${how} while it was read. Read it again.`;
    return new HoldfastError('conflict', text, { retryable: true });
  }

  async revalidate(): Promise<StorageEntry> {
    const doing = `Looking at ${this.entry.path}`;
    return this.#bucket.run(doing, 'read', undefined, async () => {
      const now = await headObject(this.#bucket.connection, this.#key, { doing });
      if (now === undefined) throw this.#changed('absent');
      return fileEntry(this.entry.path, now);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const text = `${this.entry.path} was closed while it was read.`;
    this.#closing.abort(new HoldfastError('cancelled', text));
  }
}

/**
 * The chunks of a body. The time limit of its connection counts only while the next chunk is waited for: a reader may
 * take its time.
 */
async function* chunksOf(body: Readable): AsyncGenerator<Uint8Array> {
  const socket = body instanceof IncomingMessage ? body.socket : undefined;
  const limitMs = socket?.timeout ?? 0;
  for await (const chunk of body) {
    socket?.setTimeout(0);
    if (chunk instanceof Uint8Array) {
      noteForeignBytes(chunk.byteLength);
      yield chunk;
    }
    socket?.setTimeout(limitMs);
  }
}
