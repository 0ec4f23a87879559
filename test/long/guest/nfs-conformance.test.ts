import { describeStorageConformance } from '@holdfast/storage/conformance';
import { NfsBench } from './nfs-bench.ts';

const options = { symlinks: true, tampering: true, contents: true };

for (const [name, protocols] of [
  ['NFSv4.1', '4'],
  ['NFSv3', '3'],
] as const) {
  describeStorageConformance(
    `nfs, kernel, ${name}`,
    async () => {
      const bench = await NfsBench.start({ protocols });
      const { backend, share } = bench;
      return {
        backend,
        seed: (folder, names) => share.seed(folder, names),
        hooks: {
          plantSymlink: (at, target) => share.plantSymlink(at, target),
          tamper: (path, bytes) => share.tamper(path, bytes),
        },
        dispose: () => bench[Symbol.asyncDispose](),
      };
    },
    options,
  );
}
