/** At most four reports a second. */
const INTERVAL_MS = 250;

interface Reported {
  /** What is to be told when the interval is over. */
  next: (() => void) | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** Lets reports about a subject through at most four times a second; the newest of those held back follows. */
export class ThrottledReports implements Disposable {
  readonly #subjects = new Map<string, Reported>();

  report(subject: string, tell: () => void): void {
    const known = this.#subjects.get(subject);
    if (known === undefined) {
      this.#tell(subject, tell);
      return;
    }
    known.next = tell;
  }

  /** Forgets a subject that has ended: nothing of it is told any more. */
  end(subject: string): void {
    clearTimeout(this.#subjects.get(subject)?.timer);
    this.#subjects.delete(subject);
  }

  [Symbol.dispose](): void {
    for (const subject of [...this.#subjects.keys()]) this.end(subject);
  }

  #tell(subject: string, tell: () => void): void {
    const timer = setTimeout(() => {
      const next = this.#subjects.get(subject)?.next;
      this.#subjects.delete(subject);
      if (next !== undefined) this.#tell(subject, next);
    }, INTERVAL_MS).unref();
    this.#subjects.set(subject, { next: undefined, timer });
    tell();
  }
}
