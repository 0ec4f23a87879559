import { joinBackendPath } from '@holdfast/bytes/backend-path';
import { startGanesha } from '@holdfast/test-support/ganesha';
import type { GaneshaOptions } from '@holdfast/test-support/ganesha';
import { mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describeStorageConformance } from './conformance.ts';
import type { ConformanceSubject } from './conformance/subject.ts';
import { createNfsBackend, prepareNfs } from './nfs.ts';

async function subject(protocols: NonNullable<GaneshaOptions['protocols']>): Promise<ConformanceSubject> {
  const server = await startGanesha({ protocols });
  const config = {
    server: server.host,
    port: server.port,
    export_path: server.exportPath,
    mode: 'direct',
  } as const;
  const { volumeId } = await prepareNfs(config);
  const backend = createNfsBackend({ ...config, volumeId, ownerId: 'hub-1' });
  const onDisk = (path: string): string => join(server.root, path);
  return {
    backend,
    seed: async (folder, names) => {
      await mkdir(onDisk(folder), { recursive: true });
      for (const name of names) await writeFile(onDisk(joinBackendPath(folder, name)), 'x');
    },
    hooks: {
      plantSymlink: async (at, target) => {
        await mkdir(dirname(onDisk(at)), { recursive: true });
        await symlink(target, onDisk(at));
      },
      tamper: async (path, bytes) => {
        const { ctimeNs } = await stat(onDisk(path), { bigint: true });
        // Until the clock of the file system has gone on: older kernels stamp with the grain of a tick.
        do await writeFile(onDisk(path), bytes);
        while ((await stat(onDisk(path), { bigint: true })).ctimeNs === ctimeNs);
      },
    },
    dispose: async () => {
      await backend[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const options = { symlinks: true, tampering: true, contents: true };
describeStorageConformance('nfs, direct, NFSv4.1', () => subject('4'), options);
describeStorageConformance('nfs, direct, NFSv3', () => subject('3'), options);
