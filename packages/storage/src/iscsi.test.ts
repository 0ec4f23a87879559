import { joinBackendPath, parseBackendPath } from '@holdfast/bytes/backend-path';
import { mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describeStorageConformance } from './conformance.ts';
import { filesOf, ScratchLun } from './iscsi/testing/scratch-lun.ts';

describeStorageConformance(
  'iscsi, direct, ext4',
  async () => {
    const lun = await ScratchLun.formatted({ sizeMiB: 512 });
    // Brings the mount up, so that the files can be reached.
    await lun.backend.usage();
    const root = await filesOf(lun.stateDir);
    const onDisk = (path: string): string => join(root, path);
    return {
      backend: lun.backend,
      seed: async (folder, names) => {
        await mkdir(onDisk(folder), { recursive: true });
        for (const name of names)
          await writeFile(onDisk(joinBackendPath(parseBackendPath(folder), name)), 'x');
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
      dispose: () => lun[Symbol.asyncDispose](),
    };
  },
  { symlinks: true, tampering: true, contents: true },
);
