import { errnoOf } from '@holdfast/bytes/durable-file';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
}

/**
 * The block device of a LUN of a kernel session (`/dev/sdb`), or undefined while there is none.
 * @param sysfs where sysfs is mounted
 */
export async function deviceOfSession(
  session: number,
  lun: number,
  sysfs = '/sys',
): Promise<string | undefined> {
  const folder = join(sysfs, 'class/iscsi_session', `session${session}`, 'device');
  for (const target of await namesIn(folder)) {
    if (!/^target\d+:\d+:\d+$/.test(target)) continue;
    for (const unit of await namesIn(join(folder, target))) {
      if (!/^\d+:\d+:\d+:\d+$/.test(unit) || Number(unit.split(':')[3]) !== lun) continue;
      const [name] = await namesIn(join(folder, target, unit, 'block'));
      if (name !== undefined) return `/dev/${name}`;
    }
  }
  return undefined;
}

/** The state of a kernel session: `LOGGED_IN`, `FAILED`; undefined when it is gone. */
export async function stateOfSession(session: number, sysfs = '/sys'): Promise<string | undefined> {
  const path = join(sysfs, 'class/iscsi_session', `session${session}`, 'state');
  return readFile(path, 'utf8').then(
    (text) => text.trim(),
    (error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    },
  );
}
