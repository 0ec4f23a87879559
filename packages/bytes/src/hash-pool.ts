import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { HoldfastError } from '@holdfast/contract/errors';
import type { HashJob, HashReport } from './hash-worker.ts';
import type { ByteRange } from './ranges.ts';

const PROGRESS_BYTES = 8 * 1024 * 1024;
/** Every so many picks the oldest job goes first, so that small files cannot starve a large one. */
const OLDEST_EVERY = 4;

export interface HashPoolOptions {
  /** Worker threads; they are started when needed. Default: one less than the machine's parallelism, at least 1. */
  workers?: number;
  /** Jobs that may wait for a worker. Default 1024. */
  maxQueue?: number;
  /** The program of the workers. Default: `hash-worker.ts`. */
  workerUrl?: URL;
}

export interface HashFdOptions {
  /** Bytes that are expected: small jobs go first. All is read all the same. */
  size: number;
  /** The bytes that are hashed, in an open file. Default: all of them. */
  range?: ByteRange;
  signal?: AbortSignal;
  /** Told the bytes hashed so far, about every 8 MiB. */
  onProgress?: (bytes: number) => void;
}

export interface HashResult {
  /** Lower-case hex. */
  sha256: string;
  /** Bytes that were read; compare it with the size to see whether the file changed meanwhile. */
  bytes: number;
}

interface PendingJob {
  job: HashJob;
  size: number;
  onProgress: ((bytes: number) => void) | undefined;
  resolve: (result: HashResult) => void;
  reject: (error: HoldfastError) => void;
}

interface Seat {
  worker: Worker;
  current: PendingJob | undefined;
  /** What the worker died of, until its exit is known. */
  crash: unknown;
  exited: Promise<void>;
}

/**
 * Hashes files in worker threads, which share the descriptors of the process, so that the event loop stays free.
 * Idle workers do not keep the process alive. Dispose it to end them.
 */
export class HashPool implements AsyncDisposable {
  readonly #maxWorkers: number;
  readonly #maxQueue: number;
  readonly #workerUrl: URL;
  readonly #queue: PendingJob[] = [];
  readonly #seats = new Set<Seat>();
  #picks = 0;
  #disposed = false;

  constructor(options: HashPoolOptions = {}) {
    this.#maxWorkers = Math.max(1, options.workers ?? availableParallelism() - 1);
    this.#maxQueue = options.maxQueue ?? 1024;
    this.#workerUrl = options.workerUrl ?? new URL('./hash-worker.ts', import.meta.url);
  }

  /**
   * The SHA-256 of an open file, from its first byte to its end unless a range is given (which may end earlier, where the
   * file does); the descriptor's own position does not matter.
   * **Keep `fd` open until the promise settles**, after an abort too: a worker reads it until then, and a descriptor
   * number that was closed may already name another file.
   * @throws HoldfastError `cancelled` when the signal aborts; `backend_unavailable` when reading fails;
   * `too_many_requests` when the queue is full; `internal` (retryable) when the worker crashes; `shutting_down`
   * once the pool is disposed.
   */
  async hashFd(fd: number, options: HashFdOptions): Promise<HashResult> {
    const { signal, onProgress, size, range } = options;
    if (this.#disposed) throw shuttingDown();
    if (signal?.aborted === true) throw cancelled(signal.reason);
    const idle = this.#seats.values().find((seat) => seat.current === undefined);
    if (idle === undefined && this.#seats.size >= this.#maxWorkers && this.#queue.length >= this.#maxQueue) {
      throw new HoldfastError(
        'too_many_requests',
        'Too many files wait to be hashed. Try again in a moment.',
      );
    }
    const job: HashJob = {
      fd,
      start: range?.start ?? 0,
      end: range?.end ?? null,
      cancelled: new Int32Array(new SharedArrayBuffer(4)),
      progressBytes: onProgress === undefined ? 0 : PROGRESS_BYTES,
    };
    const { promise, resolve, reject } = Promise.withResolvers<HashResult>();
    const pending: PendingJob = { job, size, onProgress, resolve, reject };
    const onAbort = (): void => {
      Atomics.store(job.cancelled, 0, 1);
      const place = this.#queue.indexOf(pending);
      if (place === -1) return;
      this.#queue.splice(place, 1);
      reject(cancelled(signal?.reason));
    };
    signal?.addEventListener('abort', onAbort);
    try {
      this.#queue.push(pending);
      this.#assign(idle);
      return await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Refuses new jobs, rejects waiting and running ones with `shutting_down`, and ends the workers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    for (const pending of this.#queue.splice(0)) pending.reject(shuttingDown());
    const exits = [...this.#seats].map(async (seat) => {
      await seat.worker.terminate();
      await seat.exited;
    });
    await Promise.all(exits);
  }

  /** Gives a waiting job to an idle worker, or to a new one while there may be more. */
  #assign(idle?: Seat): void {
    if (this.#queue.length === 0 || this.#disposed) return;
    const seat = idle ?? (this.#seats.size < this.#maxWorkers ? this.#hire() : undefined);
    if (seat === undefined) return;
    const pending = this.#pick();
    if (pending === undefined) return;
    seat.current = pending;
    seat.worker.ref();
    seat.worker.postMessage(pending.job);
  }

  /** The smallest waiting job, or every so often the oldest. */
  #pick(): PendingJob | undefined {
    this.#picks += 1;
    let place = 0;
    if (this.#picks % OLDEST_EVERY !== 0) {
      for (const [index, pending] of this.#queue.entries()) {
        if (pending.size < (this.#queue[place]?.size ?? 0)) place = index;
      }
    }
    return this.#queue.splice(place, 1)[0];
  }

  #hire(): Seat {
    // Flags for the main program, such as --input-type or --import, are not for this one.
    const worker = new Worker(this.#workerUrl, { name: 'holdfast-hash', execArgv: [] });
    const { promise: exited, resolve: markExited } = Promise.withResolvers<void>();
    const seat: Seat = { worker, current: undefined, crash: undefined, exited };
    worker.on('message', (report: HashReport) => this.#onReport(seat, report));
    worker.on('error', (error) => {
      seat.crash = error;
    });
    // Only now is it sure that the thread reads the descriptor no more.
    worker.on('exit', (code) => {
      this.#seats.delete(seat);
      seat.current?.reject(this.#disposed ? shuttingDown() : crashed(code, seat.crash));
      seat.current = undefined;
      markExited();
      this.#assign();
    });
    worker.unref();
    this.#seats.add(seat);
    return seat;
  }

  #onReport(seat: Seat, report: HashReport): void {
    const pending = seat.current;
    if (pending === undefined) return;
    if (report.kind === 'progress') {
      pending.onProgress?.(report.bytes);
      return;
    }
    seat.current = undefined;
    seat.worker.unref();
    if (report.kind === 'done') pending.resolve({ sha256: report.sha256, bytes: report.bytes });
    else if (report.kind === 'cancelled') pending.reject(cancelled());
    else pending.reject(unreadable(report.message));
    this.#assign(seat);
  }
}

function cancelled(cause?: unknown): HoldfastError {
  return new HoldfastError('cancelled', 'Hashing the file was cancelled.', { cause });
}

function shuttingDown(): HoldfastError {
  return new HoldfastError('shutting_down', 'The file was not hashed, because the process is shutting down.');
}

function unreadable(reason: string): HoldfastError {
  return new HoldfastError(
    'backend_unavailable',
    `The file could not be read to be hashed (${reason}). Check the storage and try again.`,
  );
}

function crashed(code: number, cause: unknown): HoldfastError {
  return new HoldfastError(
    'internal',
    `The thread that hashed the file ended unexpectedly (exit code ${code}). Try again.`,
    { cause, retryable: true },
  );
}
