import { humanBytes } from '../output/format.ts';
import { fail, ok, warn } from './check.ts';
import type { Check } from './check.ts';

const LEAST_FREE_BYTES = 1024 ** 3;
const LEAST_FREE_PART = 0.05;
const SKEW_WARN_SECONDS = 5;
const SKEW_FAIL_SECONDS = 300;
const NODE_MAJOR = 24;

/** @param free bytes that an ordinary user may still take @param total bytes of the file system */
export function judgeSpace(name: string, free: number, total: number): Check {
  const message = `${humanBytes(free)} of ${humanBytes(total)} are free.`;
  const fix = 'Free some space, or move the data directory to a larger disk.';
  if (free < LEAST_FREE_BYTES) return fail(name, message, fix);
  return free < total * LEAST_FREE_PART ? warn(name, message, fix) : ok(name, message);
}

/** Judges how far two clocks are apart. @param seconds of this machine ahead of the hub; HTTP dates are whole seconds */
export function judgeSkew(seconds: number): Check {
  const name = 'clock';
  const apart = Math.round(Math.abs(seconds));
  const message = `This machine is ${apart} s ${seconds < 0 ? 'behind' : 'ahead of'} the hub.`;
  const fix = 'Have both machines keep time by NTP (timedatectl set-ntp true).';
  if (apart >= SKEW_FAIL_SECONDS) return fail(name, message, fix);
  return apart >= SKEW_WARN_SECONDS ? warn(name, message, fix) : ok(name, 'This machine and the hub agree.');
}

/** @param version of Node, as `24.1.0` */
export function judgeNode(version: string): Check {
  const major = Number.parseInt(version, 10);
  if (major >= NODE_MAJOR) return ok('node', `Node ${version}.`);
  return fail('node', `Node ${version} is too old.`, `Install Node ${NODE_MAJOR} or newer.`);
}

/** Judges whether the command and the hub go together. */
export function judgeVersions(own: string, hub: string): Check {
  if (own === hub) return ok('version', `The command and the hub are ${own}.`);
  return warn(
    'version',
    `The command is ${own}, the hub is ${hub}.`,
    'Install the same version on both sides.',
  );
}

/** Judges who else may read what only its owner should. @param mode of the file or folder */
export function judgeMode(name: string, path: string, mode: number, isFolder: boolean): Check {
  const bits = mode & 0o777;
  const shown = bits.toString(8);
  if ((bits & 0o077) === 0) return ok(name, `Only its owner reaches ${path}.`);
  // In a folder that others may list, each file has its own mode still.
  const told = isFolder && (bits & 0o022) === 0 ? warn : fail;
  return told(name, `Others reach ${path} (mode ${shown}).`, `chmod ${isFolder ? '700' : '600'} ${path}`);
}
