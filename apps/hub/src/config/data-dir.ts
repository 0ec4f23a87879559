import { randomUUID } from 'node:crypto';
import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { HoldfastError } from '@holdfast/contract/errors';
import { readOrCreateOnce } from './secrets.ts';

/** Directories that hubs of this very process hold: a pid alone does not tell them apart. */
const heldHere = new Set<string>();

/** A data directory held by this process alone. */
export interface DataDir extends Disposable {
  readonly path: string;
  /** Stable for the life of the directory; marks what this hub stages on shared storage. */
  readonly hubId: string;
}

/**
 * Makes the data directory when missing and takes it for this process: two hubs on one directory would
 * sweep each other's staged files away.
 * @throws HoldfastError `conflict` when a live hub holds it, `validation_failed` when it cannot be made
 */
export function takeDataDir(path: string): DataDir {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new HoldfastError(
      'validation_failed',
      `The data directory ${path} cannot be made; check the path and its permissions.`,
      { cause: error },
    );
  }
  const pidFile = join(path, 'hub.pid');
  const realPath = realpathSync(path);
  if (heldHere.has(realPath)) throw inUse(process.pid, path);
  takePidFile(pidFile, path);
  heldHere.add(realPath);
  const release = (): void => {
    rmSync(pidFile, { force: true });
    heldHere.delete(realPath);
  };
  try {
    return { path, hubId: readOrCreateOnce(join(path, 'hub.id'), randomUUID), [Symbol.dispose]: release };
  } catch (error) {
    release();
    throw error;
  }
}

function takePidFile(pidFile: string, dataDir: string): void {
  const mine = `${process.pid} ${startTime(process.pid) ?? ''}`;
  const staged = `${pidFile}.${process.pid}`;
  const fd = openSync(staged, 'w', 0o600);
  writeSync(fd, mine);
  closeSync(fd);
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        linkSync(staged, pidFile);
        return;
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      }
      const holder = readHolder(pidFile);
      if (holder !== null && holder.pid !== process.pid && startTime(holder.pid) === holder.startTime) {
        throw inUse(holder.pid, dataDir);
      }
      rmSync(pidFile, { force: true });
    }
    throw new HoldfastError(
      'conflict',
      `${pidFile} keeps changing hands; is another hub starting in ${dataDir}?`,
    );
  } finally {
    unlinkSync(staged);
  }
}

function inUse(pid: number, dataDir: string): HoldfastError {
  return new HoldfastError(
    'conflict',
    `Another hub (process ${pid}) is using ${dataDir}. Stop it, or choose another HOLDFAST_DATA.`,
  );
}

function readHolder(pidFile: string): { pid: number; startTime: string } | null {
  let text: string;
  try {
    text = readFileSync(pidFile, 'utf8');
  } catch {
    return null; // gone meanwhile: free to take
  }
  // A power cut may leave the file empty: then nobody holds it.
  const [, pid, time] = /^([1-9]\d*) (\d*)$/.exec(text) ?? [];
  return pid === undefined ? null : { pid: Number(pid), startTime: time ?? '' };
}

/** A process's start time in clock ticks since boot (proc(5), field 22): tells a reused pid from the holder's. */
function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return isAlive(pid) ? '' : null; // no /proc: fall back to whether the process exists
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
