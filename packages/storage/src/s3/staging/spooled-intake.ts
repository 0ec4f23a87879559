import { StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import { createHash } from 'node:crypto';
import type { Slice } from '../../spool/coverage.ts';
import type { FileUse } from '../../spool/shared-file.ts';
import type { SpooledPart } from './spooled-part.ts';

/** Bytes of a part that are durable in its file. */
export interface WrittenSlice {
  part: SpooledPart;
  slice: Slice;
}

/** What an intake asks of its upload. */
export interface IntakePlace {
  partAt(position: number): SpooledPart;
  /** Where a part ends: where the whole does, if that is before. */
  endOf(part: SpooledPart): number;
  /** Takes bytes out of what counts as received, because they are about to be replaced. */
  cut(part: SpooledPart, start: number, end: number): Promise<void>;
  /** Makes bytes count as received, durably. */
  count(written: readonly WrittenSlice[]): Promise<void>;
  /** Resolves when not too much is on its way to S3. */
  calm(): Promise<void>;
}

interface Writing {
  kind: 'write';
  part: SpooledPart;
  use: FileUse;
  start: number;
  digest: StreamDigest;
}

/** Bytes of a part that S3 has already: what comes is compared with what came before. */
interface Comparing {
  kind: 'compare';
  expected: Slice;
  digest: StreamDigest;
}

export interface IntakeOptions {
  doing: string;
  /** Bytes count at the end of each part, though more is to come. */
  countsAsItComes: boolean;
  signal: AbortSignal | undefined;
}

/** Bytes of one call on their way into the files of parts, in order from a position. */
export class SpooledIntake implements AsyncDisposable {
  readonly #place: IntakePlace;
  readonly #options: IntakeOptions;
  readonly #start: number;
  /** Of what was compared and found the same, while nothing else came. */
  readonly #compared = createHash('sha256');
  #same: { end: number; sha256: string };
  #position: number;
  #now: Writing | Comparing | undefined;
  #written: WrittenSlice[] = [];
  #hasWritten = false;

  constructor(place: IntakePlace, position: number, options: IntakeOptions) {
    this.#place = place;
    this.#options = options;
    this.#start = position;
    this.#position = position;
    this.#same = { end: position, sha256: this.#compared.copy().digest('hex') };
  }

  async take(chunk: Uint8Array): Promise<void> {
    for (let offset = 0; offset < chunk.byteLength;) {
      this.#now ??= await this.#begin();
      const now = this.#now;
      const end = now.kind === 'write' ? this.#place.endOf(now.part) : now.expected.end;
      const bytes = chunk.subarray(offset, offset + end - this.#position);
      if (now.kind === 'write') await this.#write(now, bytes);
      else this.#compare(now, bytes);
      offset += bytes.byteLength;
      this.#position += bytes.byteLength;
      if (this.#position < end) continue;
      await this.#end(now);
      if (this.#options.countsAsItComes && now.kind === 'write') {
        await this.#countWritten();
        await this.#place.calm();
      }
    }
  }

  /** Everything came: makes it count. @throws HoldfastError `chunk_conflict` */
  async finish(): Promise<void> {
    if (this.#now?.kind === 'compare') throw this.#incomparable();
    if (this.#now !== undefined) await this.#end(this.#now);
    await this.#countWritten();
  }

  /**
   * No more comes, and what came is to count.
   * @returns what counts when that is less: bytes that were not compared to the end of what came before do not
   * @throws HoldfastError `chunk_conflict`
   */
  async finishEarly(): Promise<{ bytes: number; sha256: string } | undefined> {
    if (this.#now?.kind === 'compare' && !this.#hasWritten) {
      return { bytes: this.#same.end - this.#start, sha256: this.#same.sha256 };
    }
    await this.finish();
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const now = this.#now;
    this.#now = undefined;
    if (now?.kind === 'write') await now.use[Symbol.asyncDispose]();
  }

  async #begin(): Promise<Writing | Comparing> {
    const part = this.#place.partAt(this.#position);
    // Its bytes are being read; whether they stay is known afterwards.
    await part.sending;
    if (part.sent === undefined) {
      const use = await part.use();
      return { kind: 'write', part, use, start: this.#position, digest: new StreamDigest() };
    }
    const expected = part.coverage.at(this.#position);
    if (expected === undefined || expected.sha256 === null) throw this.#incomparable();
    return { kind: 'compare', expected, digest: new StreamDigest() };
  }

  async #write({ part, use, digest }: Writing, bytes: Uint8Array): Promise<void> {
    const end = this.#position + bytes.byteLength;
    this.#hasWritten = true;
    await part.takeRoom(end, this.#place.endOf(part), this.#options);
    if (part.coverage.touches(this.#position, end)) await this.#place.cut(part, this.#position, end);
    await use.file.writeAt(bytes, this.#position - part.place.start);
    digest.update(bytes);
  }

  #compare({ digest }: Comparing, bytes: Uint8Array): void {
    digest.update(bytes);
    if (!this.#hasWritten) this.#compared.update(bytes);
  }

  async #end(now: Writing | Comparing): Promise<void> {
    if (now.kind === 'compare') {
      this.#now = undefined;
      if (now.digest.hex() !== now.expected.sha256) throw this.#otherBytes(now.expected);
      if (!this.#hasWritten)
        this.#same = { end: this.#position, sha256: this.#compared.copy().digest('hex') };
      return;
    }
    const { part, use, start, digest } = now;
    await use.file.sync();
    this.#now = undefined;
    await use[Symbol.asyncDispose]();
    this.#written.push({ part, slice: { start, end: this.#position, sha256: digest.hex() } });
  }

  async #countWritten(): Promise<void> {
    const written = this.#written;
    this.#written = [];
    if (written.length > 0) await this.#place.count(written);
  }

  #otherBytes({ start, end }: Slice): HoldfastError {
    const text = `${this.#options.doing} brought other bytes from ${start} to ${end} than came before, and those are stored.`;
    return new HoldfastError('chunk_conflict', `${text} Begin the upload anew if the file was changed.`);
  }

  #incomparable(): HoldfastError {
    const text = `${this.#options.doing} repeats bytes that are stored already, and not as they came before.`;
    return new HoldfastError('chunk_conflict', `${text} Send them as before, or begin the upload anew.`);
  }
}
