import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { makeBundle, readManifest } from './package/bundle.ts';
import { makeExecutable } from './package/executable.ts';
import { makeTarball } from './package/tarball.ts';

const root = dirname(import.meta.dirname);

/** Makes what is published: the npm tarball and, on Linux x64, one executable file. Prints their paths. */
async function main(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      out: { type: 'string', default: 'dist' },
      'no-executable': { type: 'boolean', default: false },
    },
  });
  const target = resolve(root, values.out);
  await mkdir(target, { recursive: true });
  // Beside the result, so that what is finished can be renamed.
  const work = await mkdtemp(join(target, '.work-'));
  try {
    const folder = join(work, 'holdfast');
    const facts = readManifest(join(root, 'apps/cli'));
    const bundle = await makeBundle(root, join(root, 'apps/cli/src/main.ts'), join(folder, 'lib'));
    await tell(await makeTarball(root, bundle, facts, folder, target));
    if (values['no-executable']) return;
    if (process.platform !== 'linux' || process.arch !== 'x64') {
      process.stderr.write('The single executable is made on Linux x64 only.\n');
      return;
    }
    const executable = join(target, `holdfast-${facts.version}-linux-x64`);
    await makeExecutable(root, folder, work, executable);
    await tell(executable);
  } finally {
    await rm(work, { recursive: true });
  }
}

async function tell(file: string): Promise<void> {
  const { size } = await stat(file);
  process.stdout.write(`${file}\t${(size / 1024 ** 2).toFixed(1)} MiB\n`);
}

await main(process.argv.slice(2));
