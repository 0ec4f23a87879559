import { isCoarse } from './entry.ts';

/**
 * The coarse validators that paths had within the current second. A file whose time has the grain of a second must not
 * come to a path with a validator that an earlier version had there, or that version's checksum record would count for
 * it. What is older than a second cannot come again, as new versions have newer times.
 */
export class RecentVersions {
  readonly #seconds = new Map<string, Map<string, number>>();
  readonly #now: () => number;

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Remembers a validator that a path has or had. */
  add(path: string, entry: { validator: string; modifiedAt: Date }): void {
    if (!isCoarse(entry.validator)) return;
    this.#forgetPast();
    const second = Math.floor(entry.modifiedAt.getTime() / 1000);
    if (second < this.#currentSecond()) return;
    const known = this.#seconds.get(path) ?? new Map<string, number>();
    this.#seconds.set(path, known.set(entry.validator, second));
  }

  /** Whether a version with this validator was at the path a moment ago. */
  has(path: string, validator: string): boolean {
    return this.#seconds.get(path)?.has(validator) ?? false;
  }

  /** The time for a new version at a path, in milliseconds: now, or the first second that no version there has. */
  nextTime(path: string, existing?: Date): number {
    this.#forgetPast();
    const taken = [...(this.#seconds.get(path)?.values() ?? [])];
    if (existing !== undefined) taken.push(Math.floor(existing.getTime() / 1000));
    const current = this.#currentSecond();
    // A time far ahead is another clock's doing, and cannot be met again by ours for a while.
    const near = taken.filter((second) => second < current + 3600);
    return Math.max(current, ...near.map((second) => second + 1)) * 1000;
  }

  #currentSecond(): number {
    return Math.floor(this.#now() / 1000);
  }

  #forgetPast(): void {
    const current = this.#currentSecond();
    for (const [path, known] of this.#seconds) {
      for (const [validator, second] of known) if (second < current) known.delete(validator);
      if (known.size === 0) this.#seconds.delete(path);
    }
  }
}
