import { errnoOf } from '@holdfast/bytes/file-system-error';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const sessionClass = 'class/iscsi_session';

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
}

/** The text of an attribute; undefined when the session is gone. */
async function attribute(sysfs: string, session: string, name: string): Promise<string | undefined> {
  return readFile(join(sysfs, sessionClass, session, name), 'utf8').then(
    (text) => text.trim(),
    (error: unknown) => {
      const errno = errnoOf(error);
      // ENODEV, EINVAL: it goes at this very moment.
      if (errno === 'ENOENT' || errno === 'ENODEV' || errno === 'EINVAL') return undefined;
      throw error;
    },
  );
}

/**
 * The numbers of the kernel's sessions that were made with an interface record.
 * @param sysfs where sysfs is mounted
 */
export async function sessionsOf(iface: string, sysfs = '/sys'): Promise<number[]> {
  const numbers: number[] = [];
  for (const name of await namesIn(join(sysfs, sessionClass))) {
    const [, number] = /^session(\d+)$/.exec(name) ?? [];
    if (number !== undefined && (await attribute(sysfs, name, 'ifacename')) === iface)
      numbers.push(Number(number));
  }
  return numbers;
}

/** The block device of a LUN of a kernel session (`/dev/sdb`), or undefined while there is none. */
export async function deviceOfSession(
  session: number,
  lun: number,
  sysfs = '/sys',
): Promise<string | undefined> {
  const folder = join(sysfs, sessionClass, `session${session}`, 'device');
  for (const target of await namesIn(folder)) {
    if (!/^target\d+:\d+:\d+$/.test(target)) continue;
    for (const unit of await namesIn(join(folder, target))) {
      if (!/^\d+:\d+:\d+:\d+$/.test(unit) || lunNumber(Number(unit.split(':')[3])) !== lun) continue;
      const [name] = await namesIn(join(folder, target, unit, 'block'));
      if (name !== undefined) return `/dev/${name}`;
    }
  }
  return undefined;
}

/** The kernel leaves the addressing method in the number of a LUN beyond 255 (SAM-5 §4.7.7.3: flat space, 01b). */
function lunNumber(kernelNumber: number): number {
  return kernelNumber >> 14 === 1 ? kernelNumber & 0x3fff : kernelNumber;
}

/** The state of a kernel session: `LOGGED_IN`, `FAILED`; undefined when it is gone. */
export async function stateOfSession(session: number, sysfs = '/sys'): Promise<string | undefined> {
  return attribute(sysfs, `session${session}`, 'state');
}
