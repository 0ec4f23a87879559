/** Chunk numbers from the first to the last, both included. */
export type ChunkRange = [first: number, last: number];

/** Which chunks of an upload are there: one bit a chunk, so that the order in which they come costs nothing. */
export class ChunkSet {
  readonly total: number;
  readonly #bits: Uint8Array;
  #size = 0;
  #prefix = 0;

  /** @param total chunks of the whole */
  constructor(total: number) {
    this.total = total;
    this.#bits = new Uint8Array(Math.ceil(total / 8));
  }

  /** How many chunks are there. */
  get size(): number {
    return this.#size;
  }

  /** How many chunks are there without a gap from the first on. */
  get prefix(): number {
    return this.#prefix;
  }

  get isComplete(): boolean {
    return this.#size === this.total;
  }

  has(num: number): boolean {
    return ((this.#bits[num >> 3] ?? 0) & (1 << (num & 7))) !== 0;
  }

  /** @returns whether it was not there before. @throws RangeError when the upload has no such chunk */
  add(num: number): boolean {
    if (!Number.isInteger(num) || num < 0 || num >= this.total)
      throw new RangeError(`there is no chunk ${num} among ${this.total}`);
    if (this.has(num)) return false;
    const index = num >> 3;
    this.#bits[index] = (this.#bits[index] ?? 0) | (1 << (num & 7));
    this.#size += 1;
    while (this.#prefix < this.total && this.has(this.#prefix)) this.#prefix += 1;
    return true;
  }

  /** The chunks that are there, as ranges in order that neither overlap nor touch. */
  ranges(): ChunkRange[] {
    return this.#runs(true, Infinity);
  }

  /** The chunks that are not there, likewise; the first `most` ranges. */
  missing(most = Infinity): ChunkRange[] {
    return this.#runs(false, most);
  }

  #runs(there: boolean, most: number): ChunkRange[] {
    const runs: ChunkRange[] = [];
    let current: ChunkRange | undefined;
    for (let num = there ? 0 : this.#prefix; num < this.total; num += 1) {
      if (this.has(num) !== there) {
        current = undefined;
      } else if (current !== undefined) {
        current[1] = num;
      } else if (runs.length === most) {
        break;
      } else {
        current = [num, num];
        runs.push(current);
      }
    }
    return runs;
  }
}
