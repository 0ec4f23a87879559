import { HoldfastError } from '@holdfast/contract/errors';
import { Worker } from 'node:worker_threads';
import type { BatchCall, BatchJob, BatchOutcome, BatchReturn } from './batch-job.ts';

let worker: Worker | undefined;
let calls = 0;
const waiting = new Map<number, PromiseWithResolvers<BatchOutcome[]>>();

/**
 * Stores a batch in a thread of its own: its many small steps would cost the event loop more than they cost the disk.
 * Batches that are stored at the same time wait for the disk together. An idle thread does not keep the process alive.
 * @throws HoldfastError `internal` (retryable) when the thread crashes
 */
export function storeBatch(job: BatchJob): Promise<BatchOutcome[]> {
  const settle = Promise.withResolvers<BatchOutcome[]>();
  const thread = (worker ??= hire());
  const call: BatchCall = { id: (calls += 1), job };
  waiting.set(call.id, settle);
  thread.ref();
  thread.postMessage(call, [job.packed.buffer]);
  return settle.promise;
}

function hire(): Worker {
  // Flags for the main program, such as --input-type or --import, are not for this one.
  const thread = new Worker(new URL('./batch-worker.ts', import.meta.url), {
    name: 'holdfast-batch',
    execArgv: [],
  });
  let crash: unknown;
  thread.on('message', ({ id, outcomes }: BatchReturn) => {
    waiting.get(id)?.resolve(outcomes);
    waiting.delete(id);
    if (waiting.size === 0) thread.unref();
  });
  thread.on('error', (error) => {
    crash = error;
  });
  thread.on('exit', (code) => {
    worker = undefined;
    const text = `The thread that stores small contents ended unexpectedly (exit code ${code}). Try again.`;
    const error = new HoldfastError('internal', text, { cause: crash, retryable: true });
    for (const settle of waiting.values()) settle.reject(error);
    waiting.clear();
  });
  thread.unref();
  return thread;
}
