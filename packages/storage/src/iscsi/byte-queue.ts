/** Bytes in the order they came, taken out in pieces of any length. */
export class ByteQueue {
  readonly #chunks: Buffer[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(chunk: Buffer): void {
    if (chunk.byteLength === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.byteLength;
  }

  /** The next bytes as one buffer, without a copy where they came in one chunk; undefined while there are too few. */
  take(length: number): Buffer | undefined {
    if (length > this.#length) return undefined;
    this.#length -= length;
    const first = this.#chunks[0];
    if (first !== undefined && first.byteLength > length) {
      this.#chunks[0] = first.subarray(length);
      return first.subarray(0, length);
    }
    if (first !== undefined && first.byteLength === length) {
      this.#chunks.shift();
      return first;
    }
    return this.#gather(length);
  }

  #gather(length: number): Buffer {
    const taken = Buffer.allocUnsafe(length);
    for (let filled = 0; filled < length;) {
      const chunk = this.#chunks.shift();
      if (chunk === undefined) break;
      const copied = chunk.copy(taken, filled);
      if (copied < chunk.byteLength) this.#chunks.unshift(chunk.subarray(copied));
      filled += copied;
    }
    return taken;
  }
}
