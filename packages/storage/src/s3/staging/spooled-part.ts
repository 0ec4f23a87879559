import { rm } from 'node:fs/promises';
import { Coverage } from '../../spool/coverage.ts';
import type { Spool } from '../../spool/spool.ts';
import { SharedFile } from '../../spool/shared-file.ts';
import type { FileUse } from '../../spool/shared-file.ts';
import type { GridPart } from './part-grid.ts';

/** Room is taken in steps of this many bytes. */
const roomGrain = 256 * 1024;

/** A part as S3 has it. */
export interface SentPart {
  end: number;
  etag: string;
  /** Lower-case hex. */
  sha256: string;
}

/** One part of a spooled upload: a file of its own, which goes when S3 has the part. */
export class SpooledPart {
  readonly place: GridPart;
  readonly coverage = new Coverage();
  /** Set when S3 has it. */
  sent: SentPart | undefined;
  /** Settles when the sending that is under way has ended, either way. */
  sending: Promise<void> | undefined;
  /** What was hashed of it as a piece of the whole; it must not change any more. */
  hashedAs: string | undefined;
  /** The folder entry of the file is durable. */
  isNamed = false;
  readonly #spool: Spool;
  readonly #owner: string;
  readonly #file: SharedFile;
  #room: number;
  #forbidEviction: (() => void) | undefined;

  /** @param bytes that its file has already */
  constructor(spool: Spool, owner: string, place: GridPart, path: string, bytes: number) {
    this.#spool = spool;
    this.#owner = owner;
    this.place = place;
    this.#file = new SharedFile(path);
    this.#room = bytes;
    this.isNamed = bytes > 0;
  }

  /** Whether the spool has bytes of it. */
  get isSpooled(): boolean {
    return this.#room > 0;
  }

  /** Whether all of its bytes are there. @param end of the part, or of the whole if that ends before */
  isFull(end: number): boolean {
    return this.coverage.covers(this.place.start, end);
  }

  /** Opens the file, or makes it; it stays open until the last user is disposed. */
  async use(): Promise<FileUse> {
    return this.#file.use();
  }

  /** Takes the room for bytes up to a position, and a little more. @param limit where the part ends */
  async takeRoom(
    end: number,
    limit: number,
    options: { doing: string; signal?: AbortSignal | undefined },
  ): Promise<void> {
    const { start } = this.place;
    const wanted = Math.min(Math.ceil((end - start) / roomGrain) * roomGrain, limit - start);
    const more = wanted - this.#room;
    if (more <= 0) return;
    await this.#spool.take(more, { ...options, owner: this.#owner });
    this.#room += more;
  }

  /** Lets the file go when somebody needs the room. */
  allowEviction(drop: () => void): void {
    this.#forbidEviction = this.#spool.allowEviction(drop);
  }

  forbidEviction(): void {
    this.#forbidEviction?.();
    this.#forbidEviction = undefined;
  }

  /** Removes the file: S3 has the part, and nobody needs to read it any more. */
  dropFile(): void {
    this.forbidEviction();
    if (this.#room === 0) return;
    this.#spool.give(this.#room, this.#owner);
    this.#room = 0;
    // What stays is found when the upload is opened again, and goes with it at the latest.
    rm(this.#file.path, { force: true }).catch(() => undefined);
  }
}
