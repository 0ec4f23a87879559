/** Bytes that came together: from `start` (inclusive) to `end` (exclusive), with their SHA-256 while it is known. */
export interface Slice {
  start: number;
  end: number;
  /** Lower-case hex; null when a part of them was replaced, or too many slices were joined. */
  sha256: string | null;
}

/** Slices that are kept apart; beyond that neighbours are joined, and cannot be compared with a repetition any more. */
const maxSlices = 4096;

/** Which bytes of a stretch are there, as slices that do not overlap, in order. */
export class Coverage {
  #slices: Slice[] = [];

  get slices(): readonly Slice[] {
    return this.#slices;
  }

  /** Adds a slice; what it overlaps is replaced. */
  add(slice: Slice): void {
    if (slice.start >= slice.end) return;
    this.remove(slice.start, slice.end);
    this.#slices.splice(this.#placeOf(slice.start), 0, slice);
    if (this.#slices.length > maxSlices) this.#join();
  }

  /** Takes bytes out; slices of which something is left lose their SHA-256. @returns whether any were there */
  remove(start: number, end: number): boolean {
    const kept: Slice[] = [];
    let removed = false;
    const first = Math.max(0, this.#placeOf(start) - 1);
    let last = first;
    for (; last < this.#slices.length; last += 1) {
      const slice = this.#slices[last];
      if (slice === undefined || slice.start >= end) break;
      if (slice.end <= start) {
        kept.push(slice);
        continue;
      }
      removed = true;
      if (slice.start < start) kept.push({ start: slice.start, end: start, sha256: null });
      if (slice.end > end) kept.push({ start: end, end: slice.end, sha256: null });
    }
    if (removed) this.#slices.splice(first, last - first, ...kept);
    return removed;
  }

  /** Whether any byte of a stretch is there. */
  touches(start: number, end: number): boolean {
    return this.#slices.some((slice) => slice.start < end && slice.end > start);
  }

  /** Whether every byte from `start` to `end` is there. */
  covers(start: number, end: number): boolean {
    let reached = start;
    for (const slice of this.#slices) {
      if (slice.end <= reached) continue;
      if (slice.start > reached || reached >= end) break;
      reached = slice.end;
    }
    return reached >= end;
  }

  /** The slice that begins at a place. */
  at(start: number): Slice | undefined {
    const slice = this.#slices[this.#placeOf(start)];
    return slice?.start === start ? slice : undefined;
  }

  /** Index of the first slice that begins at `start` or behind it. */
  #placeOf(start: number): number {
    let low = 0;
    let high = this.#slices.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#slices[middle]?.start ?? 0) < start) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #join(): void {
    const joined: Slice[] = [];
    for (const slice of this.#slices) {
      const before = joined.at(-1);
      if (before?.end === slice.start)
        joined[joined.length - 1] = { ...before, end: slice.end, sha256: null };
      else joined.push(slice);
    }
    this.#slices = joined;
  }
}
