import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { runProcess } from '@holdfast/test-support/process';
import { startWebdavNginx } from '@holdfast/test-support/webdav-nginx';
import { type Contender, measured, type Outcome } from './contender.ts';
import { PARALLEL } from './source.ts';

/** rclone leaves 10 ms between two requests by WebDAV and needs three for a file: 30 files a second, however many there are. */
const MOST_SMALL_FILES = 300;

/** `rclone copy` to nginx by WebDAV. nginx neither verifies nor syncs what it takes. */
export const rclone: Contender = {
  name: 'rclone to nginx',
  large: ({ large }, folder) => copy('copyto', large.file, 'large.bin', folder),
  async small({ folder: from, small }, folder) {
    const some = small.slice(0, MOST_SMALL_FILES);
    const list = path.join(folder, 'some');
    await writeFile(list, some.map(({ name }) => `${name}\n`).join(''));
    const times = small.length / some.length;
    const { seconds, server } = await copy('copy', from, '', folder, `--files-from=${list}`);
    const { cpuSeconds, peakMiB } = server ?? { cpuSeconds: Number.NaN, peakMiB: Number.NaN };
    return { seconds: seconds * times, server: { cpuSeconds: cpuSeconds * times, peakMiB } };
  },
};

async function copy(
  verb: string,
  from: string,
  to: string,
  folder: string,
  ...options: string[]
): Promise<Outcome> {
  await using nginx = await startWebdavNginx({ root: path.join(folder, 'root') });
  const args = [
    verb,
    `--transfers=${PARALLEL}`,
    '--webdav-vendor=other',
    '--retries=1',
    '--config=/dev/null',
  ];
  const url = `--webdav-url=http://127.0.0.1:${nginx.ports.dav}/`;
  const { seconds, server } = await measured(nginx.pid, async () => {
    await runProcess('rclone', [...args, ...options, url, from, `:webdav:${to}`], { timeoutMs: 600_000 });
  });
  return server === undefined ? { seconds } : { seconds, server };
}
