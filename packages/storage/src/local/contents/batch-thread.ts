import { HoldfastError } from '@holdfast/contract/errors';
import { Worker } from 'node:worker_threads';
import type { BatchJob, BatchOutcome } from './batch-job.ts';

interface Waiting {
  job: BatchJob;
  settle: PromiseWithResolvers<BatchOutcome[]>;
}

let worker: Worker | undefined;
const waiting: Waiting[] = [];

/**
 * Stores a batch in a thread of its own, one batch at a time: its many small steps would cost the event loop more than
 * they cost the disk. An idle thread does not keep the process alive.
 * @throws HoldfastError `internal` (retryable) when the thread crashes
 */
export function storeBatch(job: BatchJob): Promise<BatchOutcome[]> {
  const settle = Promise.withResolvers<BatchOutcome[]>();
  const thread = (worker ??= hire());
  waiting.push({ job, settle });
  thread.ref();
  thread.postMessage(job, [job.packed.buffer]);
  return settle.promise;
}

function hire(): Worker {
  // Flags for the main program, such as --input-type or --import, are not for this one.
  const thread = new Worker(new URL('./batch-worker.ts', import.meta.url), {
    name: 'holdfast-batch',
    execArgv: [],
  });
  let crash: unknown;
  thread.on('message', (outcomes: BatchOutcome[]) => {
    waiting.shift()?.settle.resolve(outcomes);
    if (waiting.length === 0) thread.unref();
  });
  thread.on('error', (error) => {
    crash = error;
  });
  thread.on('exit', (code) => {
    worker = undefined;
    const text = `The thread that stores small contents ended unexpectedly (exit code ${code}). Try again.`;
    const error = new HoldfastError('internal', text, { cause: crash, retryable: true });
    for (const { settle } of waiting.splice(0)) settle.reject(error);
  });
  thread.unref();
  return thread;
}
