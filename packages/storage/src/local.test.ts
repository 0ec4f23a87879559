import { joinBackendPath } from '@holdfast/bytes/backend-path';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describeStorageConformance } from './conformance.ts';
import { createLocalBackend, prepareLocalRoot } from './local.ts';

describeStorageConformance(
  'local',
  async () => {
    const root = await mkdtemp(join(tmpdir(), 'holdfast-local-'));
    const { volumeId } = await prepareLocalRoot({ root });
    const onDisk = (path: string): string => join(root, path);
    return {
      backend: createLocalBackend({ root, volumeId, ownerId: 'hub-1' }),
      seed: async (folder, names) => {
        await mkdir(onDisk(folder), { recursive: true });
        for (const name of names) await writeFile(onDisk(joinBackendPath(folder, name)), 'x');
      },
      hooks: {
        plantSymlink: async (at, target) => {
          await mkdir(dirname(onDisk(at)), { recursive: true });
          await symlink(target, onDisk(at));
        },
        tamper: (path, bytes) => writeFile(onDisk(path), bytes),
      },
      dispose: () => rm(root, { recursive: true, force: true }),
    };
  },
  { symlinks: true, tampering: true },
);
