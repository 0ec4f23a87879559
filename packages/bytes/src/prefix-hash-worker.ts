import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

/** What a worker is asked; `hash` names the state, which never leaves the worker. */
export type PrefixHashJob =
  /** Goes on with the bytes of a descriptor. `cancelled` is one shared Int32; anything but 0 in it ends the job. */
  | {
      kind: 'file';
      hash: number;
      fd: number;
      from: number;
      to: number;
      cancelled: Int32Array<SharedArrayBuffer>;
    }
  | { kind: 'bytes'; hash: number; from: number; bytes: Uint8Array }
  | { kind: 'digest'; hash: number; at: number }
  | { kind: 'drop'; hash: number };

/** What it answers, in the order of the jobs; to `drop` nothing. */
export type PrefixHashReport =
  /** The state has taken in all bytes up to there; before what was asked when the file ends there, or by a cancellation. */
  | { kind: 'at'; position: number }
  | { kind: 'digest'; sha256: string }
  /** The state is not there any more, or is not where the job goes on. */
  | { kind: 'lost' }
  | { kind: 'failed'; message: string };

interface State {
  hash: Hash;
  position: number;
}

const buffer = Buffer.allocUnsafeSlow(1024 * 1024);
/** In the order of their last use. */
const states = new Map<number, State>();

function stateAt(id: number, position: number): State | undefined {
  const state = position === 0 ? { hash: createHash('sha256'), position } : states.get(id);
  states.delete(id);
  if (state?.position !== position) return undefined;
  states.set(id, state);
  for (const oldest of states.keys()) {
    if (states.size <= maxStates) break;
    states.delete(oldest);
  }
  return state;
}

function run(job: Exclude<PrefixHashJob, { kind: 'drop' }>): PrefixHashReport {
  if (job.kind === 'digest') {
    const state = stateAt(job.hash, job.at);
    return state === undefined
      ? { kind: 'lost' }
      : { kind: 'digest', sha256: state.hash.copy().digest('hex') };
  }
  const state = stateAt(job.hash, job.from);
  if (state === undefined) return { kind: 'lost' };
  if (job.kind === 'bytes') {
    state.hash.update(job.bytes);
    state.position += job.bytes.byteLength;
    return { kind: 'at', position: state.position };
  }
  while (state.position < job.to && Atomics.load(job.cancelled, 0) === 0) {
    const wanted = Math.min(buffer.byteLength, job.to - state.position);
    const read = readSync(job.fd, buffer, 0, wanted, state.position);
    if (read === 0) break;
    state.hash.update(buffer.subarray(0, read));
    state.position += read;
  }
  return { kind: 'at', position: state.position };
}

const port = parentPort;
const maxStates = typeof workerData === 'number' ? workerData : Number.POSITIVE_INFINITY;
port?.on('message', (job: PrefixHashJob) => {
  if (job.kind === 'drop') {
    states.delete(job.hash);
    return;
  }
  let report: PrefixHashReport;
  try {
    report = run(job);
  } catch (error) {
    report = { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
  port.postMessage(report);
});
