import type { SetTimer } from '@holdfast/bytes/pacing/alarm';
import { HoldfastError } from '@holdfast/contract/errors';
import type { ProbeReport, Usage } from '@holdfast/storage/backend';

/** A look at a storage that takes longer is told to stop, in ms. */
export const CHECK_LIMIT_MS = 30_000;
/** How long it may then take to say how far it came, in ms. */
export const STOP_GRACE_MS = 1_000;

/** What a look at a storage has found. */
export interface Findings {
  report: ProbeReport;
  /** Null when it is not known. */
  usage: Usage | null;
}

export interface HealthCheckOptions {
  /** Looks at the storage. Ends soon after its signal has fired, unless something hangs that cannot be stopped. */
  look: (signal: AbortSignal) => Promise<Findings>;
  /** Told once what every check has found. */
  note: (findings: Findings) => void;
  /** Told when a look that was given up has ended after all. */
  onLateAnswer: () => void;
  setTimer: SetTimer;
}

/**
 * The checks of one storage: one at a time, each with a limit of time. While a look that was given up still hangs no
 * other one is begun, because each may hold a thread of this process.
 */
export class HealthCheck implements Disposable {
  readonly #options: HealthCheckOptions;
  #last: Check | undefined;
  #isDisposed = false;

  constructor(options: HealthCheckOptions) {
    this.#options = options;
  }

  /**
   * Checks the storage, or joins the check that is under way.
   * @param isAskedFor somebody wants to know how it is now: that a check failed which had begun before says too little
   */
  async run({ isAskedFor }: { isAskedFor: boolean }): Promise<ProbeReport> {
    const earlier = this.#current;
    if (earlier === undefined) return this.#begin().report;
    const report = await earlier.report;
    if (report.ok || earlier.state === 'overdue' || !isAskedFor) return report;
    return (this.#current ?? this.#begin()).report;
  }

  /** Gives up what is under way; nothing is noted any more. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#last?.giveUp(new HoldfastError('shutting_down', 'The backend is being closed.'));
  }

  get #current(): Check | undefined {
    return this.#last?.state === 'ended' ? undefined : this.#last;
  }

  #begin(): Check {
    const { note, onLateAnswer, ...options } = this.#options;
    this.#last = new Check({
      ...options,
      note: (findings) => {
        if (!this.#isDisposed) note(findings);
      },
      onLateAnswer: () => {
        if (!this.#isDisposed) onLateAnswer();
      },
    });
    return this.#last;
  }
}

class Check {
  /** `overdue`: given up, though its look has not ended. */
  state: 'looking' | 'overdue' | 'ended' = 'looking';
  readonly report: Promise<ProbeReport>;
  readonly #stop = new AbortController();
  readonly #givenUp = Promise.withResolvers<undefined>();

  constructor(options: HealthCheckOptions) {
    this.report = this.#run(options);
  }

  giveUp(reason: HoldfastError): void {
    this.#stop.abort(reason);
    this.#givenUp.resolve(undefined);
  }

  async #run({ look, note, onLateAnswer, setTimer }: HealthCheckOptions): Promise<ProbeReport> {
    const startedAt = performance.now();
    let cancelTimer = setTimer(() => {
      this.#stop.abort(noAnswer());
      cancelTimer = setTimer(() => this.giveUp(noAnswer()), STOP_GRACE_MS);
    }, CHECK_LIMIT_MS);
    const looking = look(this.#stop.signal);
    try {
      const found = await Promise.race([looking, this.#givenUp.promise]);
      this.state = found === undefined ? 'overdue' : 'ended';
      const findings = found ?? unanswered(performance.now() - startedAt);
      note(findings);
      return findings.report;
    } catch (error) {
      this.state = 'ended';
      throw error;
    } finally {
      cancelTimer();
      if (this.state === 'overdue') void this.#awaitLate(looking, onLateAnswer);
    }
  }

  async #awaitLate(looking: Promise<unknown>, onLateAnswer: () => void): Promise<void> {
    // How it ended does not count any more: the next check tells.
    await looking.catch(() => undefined);
    this.state = 'ended';
    onLateAnswer();
  }
}

function noAnswer(): HoldfastError {
  const seconds = CHECK_LIMIT_MS / 1000;
  const advice = 'Look at the device or server, and the way to it. It is tried again by itself.';
  return new HoldfastError('backend_unavailable', `It did not answer within ${seconds} seconds. ${advice}`);
}

function unanswered(latencyMs: number): Findings {
  const checks = [{ name: 'answer', ok: false, message: noAnswer().message }];
  return { report: { ok: false, checks, latencyMs }, usage: null };
}
