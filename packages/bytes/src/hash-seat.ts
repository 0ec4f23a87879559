import { HoldfastError } from '@holdfast/contract/errors';
import { Worker } from 'node:worker_threads';
import type { Transferable } from 'node:worker_threads';
import { Turns } from './turns.ts';
import type { PrefixHashJob, PrefixHashReport } from './prefix-hash-worker.ts';

/** Turns that are under way at once: one is hashed while the file of the next one is opened. */
const TURNS_AT_ONCE = 2;

/** A worker thread that keeps the states of many hashes, and lets them in turn by turn. */
export class HashSeat implements AsyncDisposable {
  /** Hashes that live here. */
  hashes = 0;
  readonly #maxStates: number;
  readonly #turns = new Turns(TURNS_AT_ONCE);
  readonly #asked: PromiseWithResolvers<PrefixHashReport>[] = [];
  #worker: Worker | undefined;
  #exited: Promise<void> | undefined;
  /** Counts the threads that were started: states live as long as their thread. */
  #life = 0;
  #isDisposed = false;

  constructor(maxStates: number) {
    this.#maxStates = maxStates;
  }

  /** Runs something when its turn has come, with the number of the present thread. */
  async turn<T>(work: (life: number) => Promise<T>): Promise<T> {
    return this.#turns.run(async () => {
      this.#hire();
      return work(this.#life);
    });
  }

  /** Only within a turn. @throws HoldfastError `internal` when the thread ends, `shutting_down` */
  ask(job: PrefixHashJob, transferred: Transferable[] = []): Promise<PrefixHashReport> {
    const asked = Promise.withResolvers<PrefixHashReport>();
    const worker = this.#hire();
    this.#asked.push(asked);
    worker.ref();
    worker.postMessage(job, transferred);
    return asked.promise;
  }

  /** Frees a state. */
  drop(hash: number): void {
    const job: PrefixHashJob = { kind: 'drop', hash };
    this.#worker?.postMessage(job);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    await this.#worker?.terminate();
    await this.#exited;
  }

  #hire(): Worker {
    if (this.#isDisposed) throw shuttingDown();
    if (this.#worker !== undefined) return this.#worker;
    this.#life += 1;
    const url = new URL('./prefix-hash-worker.ts', import.meta.url);
    // Flags for the main program, such as --input-type or --import, are not for this one.
    const worker = new Worker(url, { name: 'holdfast-prefix', execArgv: [], workerData: this.#maxStates });
    let crash: unknown;
    worker.on('message', (report: PrefixHashReport) => {
      this.#asked.shift()?.resolve(report);
      if (this.#asked.length === 0) worker.unref();
    });
    worker.on('error', (error) => {
      crash = error;
    });
    // Only now is it sure that the thread reads no descriptor any more.
    this.#exited = new Promise((resolve) => {
      worker.on('exit', (code) => {
        this.#worker = undefined;
        const error = this.#isDisposed ? shuttingDown() : crashed(code, crash);
        for (const asked of this.#asked.splice(0)) asked.reject(error);
        resolve();
      });
    });
    worker.unref();
    this.#worker = worker;
    return worker;
  }
}

function shuttingDown(): HoldfastError {
  return new HoldfastError('shutting_down', 'The file was not hashed, because the process is shutting down.');
}

function crashed(code: number, cause: unknown): HoldfastError {
  const text = `The thread that hashed the file ended unexpectedly (exit code ${code}). Try again.`;
  return new HoldfastError('internal', text, { cause, retryable: true });
}
