import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';

/** A file to hash. `cancelled` is one shared Int32; anything but 0 in it ends the job. */
export interface HashJob {
  fd: number;
  /** Bytes from the first one that counts up to the one after the last; `null` for the end of the file. */
  start: number;
  end: number | null;
  cancelled: Int32Array<SharedArrayBuffer>;
  /** Bytes between two reports of progress; 0 for none. */
  progressBytes: number;
}

/** What a worker says about its job: any number of `progress`, then one of the others. */
export type HashReport =
  | { kind: 'progress'; bytes: number }
  | { kind: 'done'; sha256: string; bytes: number }
  | { kind: 'cancelled' }
  | { kind: 'failed'; message: string };

const buffer = Buffer.allocUnsafeSlow(1024 * 1024);

function hashFile(job: HashJob, report: (report: HashReport) => void): void {
  const hash = createHash('sha256');
  let bytes = 0;
  let reported = 0;
  for (;;) {
    if (Atomics.load(job.cancelled, 0) !== 0) {
      report({ kind: 'cancelled' });
      return;
    }
    const position = job.start + bytes;
    const wanted = Math.min(buffer.byteLength, (job.end ?? Infinity) - position);
    const read = wanted > 0 ? readSync(job.fd, buffer, 0, wanted, position) : 0;
    if (read === 0) break;
    hash.update(read === buffer.byteLength ? buffer : buffer.subarray(0, read));
    bytes += read;
    if (job.progressBytes > 0 && bytes - reported >= job.progressBytes) {
      reported = bytes;
      report({ kind: 'progress', bytes });
    }
  }
  report({ kind: 'done', sha256: hash.digest('hex'), bytes });
}

const port = parentPort;
port?.on('message', (job: HashJob) => {
  const report = (message: HashReport): void => port.postMessage(message);
  try {
    hashFile(job, report);
  } catch (error) {
    report({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
});
