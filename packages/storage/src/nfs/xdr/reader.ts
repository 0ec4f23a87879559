import { GarbledReply } from './garbled.ts';

const zeroPadding = [0, 0, 0] as const;

/**
 * Reads XDR (RFC 4506) from bytes that are not to be trusted: every length is checked against what is left and against
 * the caller's limit, booleans are 0 or 1, padding is zero. Every method throws GarbledReply otherwise.
 */
export class XdrReader {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Bytes that are not read yet. */
  get left(): number {
    return this.#bytes.byteLength - this.#position;
  }

  u32(): number {
    const at = this.#take(4);
    return this.#bytes.readUInt32BE(at);
  }

  u64(): bigint {
    const at = this.#take(8);
    return this.#bytes.readBigUInt64BE(at);
  }

  i64(): bigint {
    const at = this.#take(8);
    return this.#bytes.readBigInt64BE(at);
  }

  /** An unsigned 64-bit number that must be a safe integer, as every size and offset of a real file is. */
  size(): number {
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new GarbledReply(`${value} is no size`);
    return Number(value);
  }

  /** As `size`, but what is beyond counts as the largest safe integer: servers without a limit say so. */
  amount(): number {
    const value = this.u64();
    return Number(value > BigInt(Number.MAX_SAFE_INTEGER) ? BigInt(Number.MAX_SAFE_INTEGER) : value);
  }

  bool(): boolean {
    const value = this.u32();
    if (value > 1) throw new GarbledReply(`${value} is no boolean`);
    return value === 1;
  }

  /** Bytes of a fixed length; a view, valid as long as the buffer under it. */
  fixed(length: number): Buffer {
    const start = this.#take(length);
    const padding = zeroPadding.slice(0, (4 - (length % 4)) % 4);
    for (const expected of padding) {
      if (this.#bytes[this.#take(1)] !== expected) throw new GarbledReply('the padding is not zero');
    }
    return this.#bytes.subarray(start, start + length);
  }

  /** Bytes of a length that is sent before them; a view. @param limit the most bytes that are accepted */
  opaque(limit: number): Buffer {
    const length = this.u32();
    if (length > limit) throw new GarbledReply(`${length} bytes where at most ${limit} are allowed`);
    return this.fixed(length);
  }

  /** A list with its count before it. @param limit the most items that are accepted */
  list<T>(limit: number, item: () => T): T[] {
    const count = this.u32();
    if (count > limit) throw new GarbledReply(`${count} items where at most ${limit} are allowed`);
    return Array.from({ length: count }, item);
  }

  /** Checks that everything was read. */
  end(): void {
    if (this.left > 0) throw new GarbledReply(`${this.left} bytes too many`);
  }

  #take(length: number): number {
    const at = this.#position;
    if (length > this.#bytes.byteLength - at) throw new GarbledReply('the message ends early');
    this.#position = at + length;
    return at;
  }
}
