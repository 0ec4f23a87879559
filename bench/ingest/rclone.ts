import path from 'node:path';
import { runProcess } from '@holdfast/test-support/process';
import { startWebdavNginx } from '@holdfast/test-support/webdav-nginx';
import { type Contender, measured, type Outcome } from './contender.ts';
import { PARALLEL } from './source.ts';

/** `rclone copy` to nginx by WebDAV. nginx neither verifies nor syncs what it takes. */
export const rclone: Contender = {
  name: 'rclone to nginx',
  large: ({ large }, folder) => copy('copyto', large.file, 'large.bin', folder),
  small: (source, folder) => copy('copy', source.folder, '', folder),
};

async function copy(verb: string, from: string, to: string, folder: string): Promise<Outcome> {
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
    await runProcess('rclone', [...args, url, from, `:webdav:${to}`], { timeoutMs: 600_000 });
  });
  return server === undefined ? { seconds } : { seconds, server };
}
