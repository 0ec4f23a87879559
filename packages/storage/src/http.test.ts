import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { startWebdavNginx } from '@holdfast/test-support/webdav-nginx';
import { stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeStorageConformance } from './conformance.ts';
import { createHttpBackend, prepareHttp } from './http.ts';
import type { HttpConfig } from './http.ts';
import { seedFiles } from './http/testing/scratch-dav.ts';

describeStorageConformance(
  'http on nginx',
  async () => {
    const server = await startWebdavNginx();
    const spool = await makeTempDir('spool');
    const config: HttpConfig = { base_url: `http://127.0.0.1:${server.ports.dav}/`, writable: true };
    const backend = createHttpBackend({
      ...config,
      ...(await prepareHttp(config)),
      ownerId: 'hub-1',
      spoolDir: spool.join('http'),
    });
    return {
      backend,
      seed: (folder, names) => seedFiles(server.root, folder, names),
      hooks: {
        tamper: async (path, bytes) => {
          const onDisk = join(server.root, path);
          const { mtimeMs } = await stat(onDisk);
          await writeFile(onDisk, bytes);
          // nginx tells times in whole seconds: others' changes within one cannot be seen over HTTP.
          await utimes(onDisk, mtimeMs / 1000 + 2, mtimeMs / 1000 + 2);
        },
      },
      dispose: async () => {
        await backend[Symbol.asyncDispose]();
        await server[Symbol.asyncDispose]();
        await spool[Symbol.asyncDispose]();
      },
    };
  },
  { tampering: true, listsDotNames: false, contents: true },
);
