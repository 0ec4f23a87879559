import { joinBackendPath, parseBackendPath } from '@holdfast/bytes/backend-path';
import { describeStorageConformance } from '@holdfast/storage/conformance';
import { mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { IscsiBench } from './iscsi-bench.ts';

describeStorageConformance(
  'iscsi, kernel, ext4',
  async () => {
    const bench = await IscsiBench.start({ sizeMiB: 512 });
    // Brings the mount up, so that the files can be reached.
    await bench.backend.usage();
    const root = await bench.files();
    const onDisk = (at: string): string => path.join(root, at);
    return {
      backend: bench.backend,
      seed: async (folder, names) => {
        await mkdir(onDisk(folder), { recursive: true });
        for (const name of names)
          await writeFile(onDisk(joinBackendPath(parseBackendPath(folder), name)), 'x');
      },
      hooks: {
        plantSymlink: async (at, target) => {
          await mkdir(path.dirname(onDisk(at)), { recursive: true });
          await symlink(target, onDisk(at));
        },
        tamper: async (at, bytes) => {
          const { ctimeNs } = await stat(onDisk(at), { bigint: true });
          // Until the clock of the file system has gone on: older kernels stamp with the grain of a tick.
          do await writeFile(onDisk(at), bytes);
          while ((await stat(onDisk(at), { bigint: true })).ctimeNs === ctimeNs);
        },
      },
      dispose: () => bench[Symbol.asyncDispose](),
    };
  },
  { symlinks: true, tampering: true, contents: true },
);
