import { randomUUID } from 'node:crypto';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { Operation, OperationPatch } from '@holdfast/catalog/operations';
import type { Events } from './events.ts';

const FLUSH_AFTER_MS = 250;
const FLUSH_AT_ROWS = 256;
/** Beyond this many unwritten rows (a database that does not answer) the oldest are given up, and counted. */
const MOST_UNWRITTEN = 50_000;

export type OperationKind = Operation['operation'];

export interface OperationStart {
  operation: OperationKind;
  actor: string | null;
  backendId?: string | null;
  file?: string | null;
  details?: Operation['details'];
}

export interface OperationEnd {
  bytes?: number;
  error?: unknown;
  details?: Operation['details'];
  duplicate?: boolean;
}

/** The operation log: who did what to which file, how long, how it ended. Finished lines are written in batches. */
export class Operations {
  readonly #catalog: Catalog;
  readonly #events: Events;
  readonly #hubId: string;
  readonly #onError: (error: unknown, lost: number) => void;
  #unwritten: Operation[] = [];
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(options: {
    catalog: Catalog;
    events: Events;
    hubId: string;
    onError: (error: unknown, lost: number) => void;
  }) {
    this.#catalog = options.catalog;
    this.#events = options.events;
    this.#hubId = options.hubId;
    this.#onError = options.onError;
  }

  /** Runs `work` as one operation and logs how it ended; what `work` returns or throws is passed on. */
  async run<T>(
    start: OperationStart,
    work: () => Promise<{ result: T; bytes?: number; details?: Operation['details'] }>,
  ): Promise<T> {
    const startedAt = new Date();
    try {
      const { result, ...end } = await work();
      this.finish(start, startedAt, end);
      return result;
    } catch (error) {
      this.finish(start, startedAt, { error });
      throw error;
    }
  }

  /** Logs an operation that has ended. */
  finish(start: OperationStart, startedAt: Date, end: OperationEnd): void {
    const finishedAt = new Date();
    this.#append({
      id: randomUUID(),
      operation: start.operation,
      state: 'finished',
      actor: start.actor,
      provider: null,
      backendId: start.backendId ?? null,
      file: start.file ?? null,
      bytes: end.bytes ?? 0,
      durationMs: finishedAt.getTime() - startedAt.getTime(),
      success: end.error === undefined,
      duplicate: end.duplicate ?? false,
      error: end.error === undefined ? null : describeError(end.error),
      details: end.details ?? start.details ?? null,
      startedAt,
      finishedAt,
    });
  }

  /** Starts a long operation whose row can be followed while it runs. */
  async start(start: OperationStart): Promise<RunningOperation> {
    const row = await this.#catalog.operations.insert({
      id: randomUUID(),
      operation: start.operation,
      state: 'running',
      actor: start.actor,
      provider: null,
      backendId: start.backendId ?? null,
      file: start.file ?? null,
      bytes: 0,
      durationMs: null,
      success: null,
      duplicate: false,
      error: null,
      details: start.details ?? null,
      startedAt: new Date(),
      finishedAt: null,
      hubId: this.#hubId,
    });
    return this.resume(row);
  }

  /** The handle of a running row, new or found after a restart. */
  resume(row: Operation): RunningOperation {
    return new RunningOperation(row, this.#catalog, (finished) => this.#announce(finished));
  }

  /**
   * Looks after what a crash or restart left running: `goOn` takes back what it can, the rest is marked as failed.
   */
  async recover(goOn: (row: Operation) => boolean): Promise<void> {
    for (const row of await this.#catalog.operations.running(this.#hubId)) {
      if (goOn(row)) continue;
      const error = new HoldfastError(
        'shutting_down',
        'The hub stopped before this was done; start it again.',
      );
      await this.resume(row).finish({ bytes: row.bytes, error, details: row.details });
    }
  }

  /** Writes what is waiting; resolves when it is durable. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flushing = this.#flushing.then(() => this.#write());
    await this.#flushing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
  }

  #append(operation: Operation): void {
    this.#unwritten.push(operation);
    this.#announce(operation);
    if (this.#unwritten.length > MOST_UNWRITTEN) {
      const lost = this.#unwritten.length - MOST_UNWRITTEN;
      this.#unwritten.splice(0, lost);
      this.#onError(new Error('the operation log cannot be written fast enough'), lost);
    }
    if (this.#unwritten.length >= FLUSH_AT_ROWS) void this.flush();
    else this.#timer ??= setTimeout(() => void this.flush(), FLUSH_AFTER_MS).unref();
  }

  async #write(): Promise<void> {
    while (this.#unwritten.length > 0) {
      const batch = this.#unwritten.slice(0, 1000);
      try {
        await this.#catalog.operations.insertMany(batch);
      } catch (error) {
        this.#onError(error, 0);
        return; // kept; the next flush tries again
      }
      this.#unwritten = this.#unwritten.slice(batch.length);
    }
  }

  #announce(operation: Operation): void {
    this.#events.publish({
      type: 'operation.finished',
      operation_id: operation.id,
      operation: operation.operation,
      actor: operation.actor,
      backend_id: operation.backendId,
      file: operation.file,
      success: operation.success === true,
      bytes: operation.bytes,
      error: operation.error,
    });
  }
}

/** A long operation under way. */
export class RunningOperation {
  readonly id: string;
  readonly row: Operation;
  readonly #catalog: Catalog;
  readonly #announce: (operation: Operation) => void;

  constructor(row: Operation, catalog: Catalog, announce: (operation: Operation) => void) {
    this.id = row.id;
    this.row = row;
    this.#catalog = catalog;
    this.#announce = announce;
  }

  async progress(patch: Pick<OperationPatch, 'bytes' | 'details'>): Promise<void> {
    await this.#catalog.operations.update(this.id, patch);
  }

  async finish(end: OperationEnd): Promise<void> {
    const finishedAt = new Date();
    const patch: OperationPatch = {
      state: 'finished',
      bytes: end.bytes ?? 0,
      durationMs: finishedAt.getTime() - this.row.startedAt.getTime(),
      success: end.error === undefined,
      error: end.error === undefined ? null : describeError(end.error),
      finishedAt,
    };
    if (end.details !== undefined) patch.details = end.details;
    await this.#catalog.operations.update(this.id, patch);
    this.#announce({ ...this.row, ...patch });
  }
}

function describeError(error: unknown): NonNullable<Operation['error']> {
  if (isHoldfastError(error)) return { code: error.code, message: error.message, retryable: error.retryable };
  return {
    code: 'internal',
    message: error instanceof Error ? error.message : String(error),
    retryable: false,
  };
}
