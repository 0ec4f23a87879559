import { throwIfCancelled, unlessCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import type { ProbeCheck, ProbeReport } from '../backend.ts';

export interface CheckListOptions {
  /** What a failed check says of its error; `doing` is the check as the subject of a sentence. */
  describe?: (error: unknown, doing: string) => string;
  /**
   * Whether a check that is under way is let go when the signal fires. Not for system calls: one that hangs holds a
   * thread, so that whoever probes must see that it has not ended. Default false.
   */
  letsGo?: boolean;
}

function messageOf(error: unknown, doing: string): string {
  if (error instanceof HoldfastError) return error.message;
  return `${doing} failed: ${error instanceof Error ? error.message : String(error)}.`;
}

/** Runs named checks one after the other; after the first failure the rest is told as not tried. Never throws. */
export class CheckList {
  readonly #signal: AbortSignal | undefined;
  readonly #describe: NonNullable<CheckListOptions['describe']>;
  readonly #letsGo: boolean;
  readonly #startedAt = performance.now();
  readonly #checks: ProbeCheck[] = [];

  /** @param signal fires when no more checks are to be begun */
  constructor(signal: AbortSignal | undefined, options: CheckListOptions = {}) {
    this.#signal = signal;
    this.#describe = options.describe ?? messageOf;
    this.#letsGo = options.letsGo ?? false;
  }

  get hasFailed(): boolean {
    return this.#checks.some((check) => !check.ok);
  }

  /**
   * Runs the next check.
   * @param passed the message of success, or what makes it of the check's result
   */
  readonly attempt = async <T>(
    name: string,
    passed: string | ((result: T) => string),
    run: (doing: string) => Promise<T>,
  ): Promise<void> => {
    if (this.hasFailed) {
      this.#checks.push({ name, ok: false, message: 'Not tried, because an earlier check failed.' });
      return;
    }
    const doing = `The check "${name}"`;
    try {
      throwIfCancelled(this.#signal, doing);
      const result = await this.#wait(doing, () => run(doing));
      this.#checks.push({ name, ok: true, message: typeof passed === 'string' ? passed : passed(result) });
    } catch (error) {
      this.#checks.push({ name, ok: false, message: this.#describe(error, doing) });
    }
  };

  /** Removes what a check has left. Not part of the report: it never throws, and what stays is left to a sweep. */
  async cleanUp(remove: () => Promise<unknown>): Promise<void> {
    const removing = remove().catch(() => undefined);
    await this.#wait('Cleaning up', () => removing).catch(() => undefined);
  }

  #wait<T>(doing: string, step: () => Promise<T>): Promise<T> {
    return this.#letsGo ? unlessCancelled(this.#signal, doing, step) : step();
  }

  /** All checks so far, and others that were made elsewhere. */
  report(others: readonly ProbeCheck[] = []): ProbeReport {
    const checks = [...this.#checks, ...others];
    const latencyMs = performance.now() - this.#startedAt;
    return { ok: checks.every((check) => check.ok), checks, latencyMs };
  }
}

/** Runs a check of a list. */
export type Attempt = CheckList['attempt'];
