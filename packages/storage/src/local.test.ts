import { joinBackendPath } from '@holdfast/bytes/backend-path';
import { mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describeStorageConformance } from './conformance.ts';
import { makeScratchRoot } from './local/testing/scratch-root.ts';

describeStorageConformance(
  'local',
  async () => {
    const scratch = await makeScratchRoot();
    const onDisk = (path: string): string => join(scratch.root, path);
    return {
      backend: scratch.backend,
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
      dispose: () => scratch[Symbol.asyncDispose](),
    };
  },
  { symlinks: true, tampering: true, contents: true },
);
