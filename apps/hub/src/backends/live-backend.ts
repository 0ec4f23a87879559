import type { Logger } from 'pino';
import type { SetTimer } from '@holdfast/bytes/pacing/alarm';
import type { Backend } from '@holdfast/catalog/backends';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { ProbeReport, StorageBackend, Usage } from '@holdfast/storage/backend';
import { noticingFailures } from './failure-notice.ts';
import { HealthCheck, type Findings } from './health-check.ts';

export type BackendStatus = 'online' | 'offline' | 'error';

/** A configured storage, alive, and how its last check found it. */
export interface LiveBackend {
  readonly row: Backend;
  readonly storage: StorageBackend;
  readonly status: BackendStatus;
  readonly statusMessage: string;
  /** Null before the first check has ended. */
  readonly checkedAt: Date | null;
  /** As the last good check saw it; null when that could not tell. */
  readonly usage: Usage | null;
}

export interface KeptBackendOptions {
  row: Backend;
  storage: StorageBackend;
  logger: Logger;
  setTimer: SetTimer;
  /** Told after every check; `before` is the status until then. */
  onChecked: (backend: KeptBackend, before: BackendStatus) => void;
  /** Told when an operation has failed as if the storage were away. */
  onDoubt: (backend: KeptBackend) => void;
  /** Told when a check that was given up has ended after all. */
  onLateAnswer: (backend: KeptBackend) => void;
}

/** A live backend as those who keep it use it. */
export class KeptBackend implements LiveBackend, AsyncDisposable {
  readonly storage: StorageBackend;
  readonly #logger: Logger;
  readonly #health: HealthCheck;
  #row: Backend;
  #status: BackendStatus = 'offline';
  #statusMessage = 'not checked since the hub started';
  #checkedAt: Date | null = null;
  #usage: Usage | null = null;
  #sweeping: Promise<void> | undefined;

  constructor(options: KeptBackendOptions) {
    const { row, storage, logger, setTimer, onChecked, onDoubt, onLateAnswer } = options;
    this.#row = row;
    this.#logger = logger;
    this.storage = noticingFailures(storage, () => onDoubt(this));
    this.#health = new HealthCheck({
      look: (signal) => this.#look(storage, signal),
      note: (findings) => {
        const before = this.#status;
        this.#note(findings);
        onChecked(this, before);
      },
      onLateAnswer: () => onLateAnswer(this),
      setTimer,
    });
  }

  get row(): Backend {
    return this.#row;
  }

  get status(): BackendStatus {
    return this.#status;
  }

  get statusMessage(): string {
    return this.#statusMessage;
  }

  get checkedAt(): Date | null {
    return this.#checkedAt;
  }

  get usage(): Usage | null {
    return this.#usage;
  }

  /** Takes another name; what is under way goes on. */
  renameTo(row: Backend): void {
    this.#row = row;
  }

  /** Runs the named checks, or joins those that are under way: see `HealthCheck.run`. */
  check(options: { isAskedFor: boolean }): Promise<ProbeReport> {
    return this.#health.run(options);
  }

  /** Resolves when what interrupted writes had left is cleaned up: that is begun with the first check that passes. */
  async swept(): Promise<void> {
    await this.#sweeping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#health[Symbol.dispose]();
    await this.storage[Symbol.asyncDispose]();
  }

  async #look(storage: StorageBackend, signal: AbortSignal): Promise<Findings> {
    const report = await storage.probe({ signal });
    return { report, usage: report.ok ? await this.#readUsage(storage, signal) : null };
  }

  async #readUsage(storage: StorageBackend, signal: AbortSignal): Promise<Usage | null> {
    if (!storage.capabilities.usage || storage.usage === undefined) return null;
    try {
      return await storage.usage({ signal });
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      this.#logger.warn({ backend: this.#row.name, err: error }, 'its usage cannot be read');
      return null;
    }
  }

  #note({ report, usage }: Findings): void {
    const failed = report.checks.find((check) => !check.ok);
    const isReachable = report.checks[0]?.ok ?? false;
    this.#status = report.ok ? 'online' : isReachable ? 'error' : 'offline';
    this.#statusMessage = failed?.message ?? 'all checks passed';
    this.#checkedAt = new Date();
    if (!report.ok) return;
    this.#usage = usage;
    this.#sweeping ??= this.#sweep();
  }

  async #sweep(): Promise<void> {
    const backend = this.#row.name;
    try {
      const swept = await this.storage.sweep();
      if (swept.removed > 0)
        this.#logger.warn({ backend, ...swept }, 'removed what interrupted writes had left');
    } catch (error) {
      const text =
        'what interrupted writes had left could not be removed; it is tried again at the next start';
      this.#logger.error({ backend, err: error }, text);
    }
  }
}
