const initialBytes = 512;
const padding = Buffer.alloc(3);

/** Writes XDR (RFC 4506). Large opaque values are kept by reference, so that a megabyte is not copied on its way out. */
export class XdrWriter {
  #segments: Uint8Array[] = [];
  #buffer = Buffer.allocUnsafe(initialBytes);
  /** Where in the buffer the segment that is being written starts and ends. */
  #start = 0;
  #end = 0;

  u32(value: number): this {
    const at = this.#room(4);
    this.#buffer.writeUInt32BE(value, at);
    return this;
  }

  u64(value: bigint | number): this {
    const at = this.#room(8);
    this.#buffer.writeBigUInt64BE(BigInt(value), at);
    return this;
  }

  i64(value: bigint): this {
    const at = this.#room(8);
    this.#buffer.writeBigInt64BE(value, at);
    return this;
  }

  bool(value: boolean): this {
    return this.u32(value ? 1 : 0);
  }

  /** Bytes of a fixed length, padded to four. */
  fixed(bytes: Uint8Array): this {
    const at = this.#room(bytes.byteLength);
    this.#buffer.set(bytes, at);
    return this.#pad(bytes.byteLength);
  }

  /** Bytes (a string as UTF-8) with their length before them. */
  opaque(value: Uint8Array | string): this {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    return this.u32(bytes.byteLength).fixed(bytes);
  }

  /** As `opaque`, without a copy: the bytes must stay as they are until the message is sent. */
  bulk(bytes: Uint8Array): this {
    this.u32(bytes.byteLength);
    this.#closeSegment();
    this.#segments.push(bytes);
    return this.#pad(bytes.byteLength);
  }

  list<T>(items: readonly T[], write: (item: T) => void): this {
    this.u32(items.length);
    for (const item of items) write(item);
    return this;
  }

  /** All that was written, in order. */
  segments(): Uint8Array[] {
    this.#closeSegment();
    return this.#segments;
  }

  /** All that was written, in one piece. */
  bytes(): Buffer {
    return Buffer.concat(this.segments());
  }

  #closeSegment(): void {
    if (this.#end > this.#start) this.#segments.push(this.#buffer.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  #pad(length: number): this {
    const missing = (4 - (length % 4)) % 4;
    const at = this.#room(missing);
    this.#buffer.set(padding.subarray(0, missing), at);
    return this;
  }

  /** Makes room for some bytes and returns where they go; the buffer may be another one afterwards. */
  #room(bytes: number): number {
    const at = this.#end;
    if (at + bytes > this.#buffer.byteLength) return this.#grow(bytes);
    this.#end = at + bytes;
    return at;
  }

  #grow(bytes: number): number {
    const open = this.#buffer.subarray(this.#start, this.#end);
    this.#buffer = Buffer.allocUnsafe(Math.max(2 * this.#buffer.byteLength, open.byteLength + bytes));
    open.copy(this.#buffer);
    this.#start = 0;
    this.#end = open.byteLength + bytes;
    return open.byteLength;
  }
}
