import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { startApache } from '@holdfast/test-support/apache';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeStorageConformance } from '../conformance.ts';
import { createHttpBackend, prepareHttp } from '../http.ts';
import type { HttpConfig } from '../http.ts';
import { seedFiles } from './testing/scratch-dav.ts';

describeStorageConformance(
  'http on Apache',
  async () => {
    const server = await startApache();
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
      hooks: { tamper: (path, bytes) => writeFile(join(server.root, path), bytes) },
      dispose: async () => {
        await backend[Symbol.asyncDispose]();
        await server[Symbol.asyncDispose]();
        await spool[Symbol.asyncDispose]();
      },
    };
  },
  { tampering: true, contents: true },
);
