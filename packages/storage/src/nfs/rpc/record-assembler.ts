import { GarbledReply } from '../xdr/garbled.ts';

/** Bytes that are taken in at once while it is not known yet whose they are. */
const SCRATCH_BYTES = 64 * 1024;
const MARK_BYTES = 4;
/** Bytes of a record that are looked at before its buffer is chosen: the xid. */
const HEAD_BYTES = 4;
const LAST_FRAGMENT = 0x8000_0000;
/** Fragments of one record; servers send one. */
const MAX_FRAGMENTS = 64;

export interface AssemblerOptions {
  /** The most bytes of one record that are accepted. */
  maxRecordBytes: number;
  /** Called with every complete record. The bytes are the receiver's own. */
  onRecord: (record: Buffer) => void;
  /** The buffer for a record that has not come entirely, by the xid it starts with; undefined for a new one. */
  bufferFor?: (xid: number) => Buffer | undefined;
}

/**
 * Puts records together from a stream (RFC 5531 §11, record marking), whatever pieces they come in. The caller reads
 * into `target()` and says with `advance` how much it was, so that a large record goes straight into its own buffer.
 */
export class RecordAssembler {
  readonly #options: AssemblerOptions;
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #scratchFilled = 0;
  /** The record under way, once its first bytes are there: room for all fragments that are known of. */
  #record: Buffer | undefined;
  #recordFilled = 0;
  /** Bytes of the fragment under way that are still to come into #record. */
  #fragmentLeft = 0;
  #isLastFragment = false;
  #fragments = 0;

  constructor(options: AssemblerOptions) {
    this.#options = options;
  }

  /** Where the next bytes of the stream go; never empty. */
  target(): Buffer {
    if (this.#record !== undefined && this.#fragmentLeft > 0) {
      return this.#record.subarray(this.#recordFilled, this.#recordFilled + this.#fragmentLeft);
    }
    return this.#scratch.subarray(this.#scratchFilled);
  }

  /** Takes in the first `bytes` bytes of the last `target()`. @throws GarbledReply; nothing may follow then */
  advance(bytes: number): void {
    if (this.#record !== undefined && this.#fragmentLeft > 0) {
      this.#recordFilled += bytes;
      this.#fragmentLeft -= bytes;
      if (this.#fragmentLeft === 0) this.#endFragment();
      return;
    }
    this.#scratchFilled += bytes;
    this.#drainScratch();
  }

  #drainScratch(): void {
    let at = 0;
    const filled = this.#scratchFilled;
    while (filled - at >= MARK_BYTES) {
      const mark = this.#scratch.readUInt32BE(at);
      const length = mark % LAST_FRAGMENT;
      const here = filled - at - MARK_BYTES;
      // The buffer of a first fragment is chosen by its first bytes.
      if (this.#record === undefined && here < Math.min(HEAD_BYTES, length)) break;
      const start = at + MARK_BYTES;
      this.#beginFragment(length, mark >= LAST_FRAGMENT, start, here);
      const copied = Math.min(length, here);
      this.#scratch.copy(this.#target(), this.#recordFilled, start, start + copied);
      this.#recordFilled += copied;
      this.#fragmentLeft -= copied;
      at = start + copied;
      if (this.#fragmentLeft > 0) break;
      this.#endFragment();
    }
    this.#scratch.copyWithin(0, at, filled);
    this.#scratchFilled = filled - at;
  }

  #target(): Buffer {
    if (this.#record === undefined) throw new GarbledReply('no record is under way');
    return this.#record;
  }

  #beginFragment(length: number, isLast: boolean, start: number, here: number): void {
    this.#fragments += 1;
    const total = this.#recordFilled + length;
    if (total > this.#options.maxRecordBytes) throw new GarbledReply(`a record of ${total} bytes`);
    if (this.#fragments > MAX_FRAGMENTS) throw new GarbledReply('a record of too many pieces');
    if (isLast && total < HEAD_BYTES) throw new GarbledReply(`a record of ${total} bytes`);
    const before = this.#record;
    if (before === undefined) {
      const isWhole = isLast && length <= here;
      const given =
        isWhole || length < HEAD_BYTES
          ? undefined
          : this.#options.bufferFor?.(this.#scratch.readUInt32BE(start));
      const fits = given !== undefined && given.byteLength >= length;
      this.#record = fits ? given.subarray(0, length) : Buffer.allocUnsafeSlow(length);
    } else if (before.byteLength < total) {
      this.#record = Buffer.allocUnsafeSlow(total);
      before.copy(this.#record, 0, 0, this.#recordFilled);
    }
    this.#fragmentLeft = length;
    this.#isLastFragment = isLast;
  }

  #endFragment(): void {
    if (!this.#isLastFragment) return;
    const record = this.#target().subarray(0, this.#recordFilled);
    this.#record = undefined;
    this.#recordFilled = 0;
    this.#fragments = 0;
    this.#options.onRecord(record);
  }
}
