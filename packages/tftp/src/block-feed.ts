import type { FeedBuffers } from './feed-buffers.ts';
import { HoldfastError } from '@holdfast/contract/errors';
import type { TftpSource } from './source.ts';

/** Files and rests up to this many bytes get a buffer of their own size instead of one of the pool. */
const smallBytes = 16 * 1024;

/** Consecutive blocks in one buffer. */
interface Segment {
  /** Block number of the first one. */
  first: number;
  /** How many blocks it holds. */
  count: number;
  buffer: Buffer;
  /** Bytes of the file in it; the last block of the file may be short or empty. */
  bytes: number;
  pooled: boolean;
}

export interface BlockFeedOptions {
  source: TftpSource;
  /** Bytes of a block. */
  blksize: number;
  buffers: FeedBuffers;
  /** Blocks have come in, or a buffer may be free now. */
  onReady: () => void;
  /** The end of the file was found: its last block, and the bytes of all. */
  onLastBlock: (block: number, bytes: number) => void;
  onFailure: (error: unknown) => void;
}

/**
 * The blocks of one file in memory: at most two segments, of which one is being sent while the next one is read.
 * A segment is given back once the client has acknowledged all of it. An earlier block is read again, so that
 * nothing is kept for a client that has stopped answering.
 */
export class BlockFeed {
  readonly #source: TftpSource;
  readonly #blksize: number;
  readonly #buffers: FeedBuffers;
  readonly #options: BlockFeedOptions;
  readonly #segments: Segment[] = [];
  /** The read under way. Its blocks are dropped when what is wanted has changed meanwhile. */
  #reading: { done: Promise<void>; dropped: boolean } | undefined;
  /** Takes the wish for a buffer back. */
  #waiting: (() => void) | undefined;
  /** A buffer that was waited for, until the next read uses it. */
  #granted: Buffer | undefined;
  #closed = false;

  constructor(options: BlockFeedOptions) {
    this.#source = options.source;
    this.#blksize = options.blksize;
    this.#buffers = options.buffers;
    this.#options = options;
  }

  /** The bytes of a block, as a view that holds until `acknowledged` or `release`; undefined when it is not there. */
  block(number: number): Buffer | undefined {
    for (const segment of this.#segments) {
      const index = number - segment.first;
      if (index < 0 || index >= segment.count) continue;
      const start = index * this.#blksize;
      return segment.buffer.subarray(start, Math.min(start + this.#blksize, segment.bytes));
    }
    return undefined;
  }

  /**
   * Sees to it that a block comes: `onReady` tells when. Does nothing when it is there or on its way.
   * @param limit bytes to read at most, for a client that may be a forged one.
   */
  load(block: number, limit?: number): void {
    if (this.#closed || this.block(block) !== undefined) return;
    const end = this.#segments.at(-1);
    // Only the block right after what is there, or under way, is a continuation.
    if (end !== undefined && block !== end.first + end.count) this.#drop();
    this.#read(block, limit, false);
  }

  /** Reads the segment after the present one, when there is room for it. */
  readAhead(last: number | undefined): void {
    const end = this.#segments.at(-1);
    if (this.#closed || end === undefined || this.#segments.length > 1) return;
    const next = end.first + end.count;
    if (last === undefined || next <= last) this.#read(next, undefined, true);
  }

  /** The client has everything up to this block. Only while nothing of it is with a socket. */
  acknowledged(block: number): void {
    for (let segment = this.#segments[0]; segment !== undefined; segment = this.#segments[0]) {
      if (segment.first + segment.count - 1 > block) return;
      this.#segments.shift();
      this.#giveBack(segment);
    }
  }

  /** Gives all memory back; blocks are read again when they are wanted. Only while nothing is with a socket. */
  release(): void {
    this.#drop();
    this.#waiting?.();
    this.#waiting = undefined;
    if (this.#granted !== undefined) this.#buffers.give(this.#granted);
    this.#granted = undefined;
  }

  /** Gives all memory back for good; resolves when no read is under way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.release();
    await this.#reading?.done;
  }

  #drop(): void {
    for (const segment of this.#segments.splice(0)) this.#giveBack(segment);
    if (this.#reading !== undefined) this.#reading.dropped = true;
  }

  #giveBack(segment: Segment): void {
    if (segment.pooled) this.#buffers.give(segment.buffer);
  }

  #read(first: number, limit: number | undefined, ahead: boolean): void {
    if (this.#reading !== undefined || this.#waiting !== undefined) return;
    const segment = this.#takeSegment(first, limit, ahead);
    if (segment === undefined) return;
    const reading = { done: Promise.resolve(), dropped: false };
    this.#reading = reading;
    reading.done = this.#fill(segment).then(
      () => {
        this.#reading = undefined;
        if (reading.dropped || this.#closed) this.#giveBack(segment);
        else this.#segments.push(segment);
        if (!this.#closed) this.#options.onReady();
      },
      (error: unknown) => {
        this.#reading = undefined;
        this.#giveBack(segment);
        if (!this.#closed) this.#options.onFailure(error);
      },
    );
  }

  /** A buffer for blocks from `first` on; without one now, `onReady` is called when there may be one. */
  #takeSegment(first: number, limit: number | undefined, ahead: boolean): Segment | undefined {
    const { size } = this.#source;
    const rest = size === null ? Number.POSITIVE_INFINITY : Math.max(0, size - (first - 1) * this.#blksize);
    const wanted = Math.min(rest, limit ?? Number.POSITIVE_INFINITY);
    if (wanted <= smallBytes) {
      return { first, count: 0, buffer: Buffer.allocUnsafe(wanted), bytes: 0, pooled: false };
    }
    const buffer = this.#granted ?? this.#buffers.take(ahead);
    this.#granted = undefined;
    if (buffer !== undefined) return { first, count: 0, buffer, bytes: 0, pooled: true };
    if (!ahead) {
      this.#waiting = this.#buffers.wait((granted) => {
        this.#waiting = undefined;
        this.#granted = granted;
        // The giver is still in the middle of its own work.
        queueMicrotask(() => {
          if (!this.#closed) this.#options.onReady();
        });
      });
    }
    return undefined;
  }

  async #fill(segment: Segment): Promise<void> {
    const { size } = this.#source;
    const start = (segment.first - 1) * this.#blksize;
    const rest = size === null ? Number.POSITIVE_INFINITY : Math.max(0, size - start);
    // Whole blocks only, or the rest of the file: no block is spread over two segments.
    const whole = Math.floor(segment.buffer.length / this.#blksize) * this.#blksize;
    const wanted = rest <= segment.buffer.length ? rest : whole;
    let end = wanted === rest;
    while (segment.bytes < wanted) {
      const read = await this.#source.readInto(
        segment.buffer.subarray(segment.bytes, wanted),
        start + segment.bytes,
      );
      if (read === 0) {
        end = true;
        break;
      }
      segment.bytes += read;
    }
    if (size !== null && segment.bytes < wanted) {
      throw new HoldfastError(
        'backend_unavailable',
        `The file ended after ${start + segment.bytes} of ${size} bytes: it was changed while it was read.`,
      );
    }
    const full = Math.floor(segment.bytes / this.#blksize);
    segment.count = end ? full + 1 : full;
    if (end) this.#options.onLastBlock(segment.first + full, start + segment.bytes);
  }
}
