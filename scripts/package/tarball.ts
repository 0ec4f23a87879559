import { execFile } from 'node:child_process';
import { copyFile, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Bundle, Manifest } from './bundle.ts';
import { thirdPartyNotices } from './notices.ts';

const run = promisify(execFile);
const packed = z.array(z.object({ filename: z.string() })).min(1);

/**
 * Lays the package out around the bundle, which is in `lib` of `folder`, and packs it.
 * @returns absolute path of the tarball in `target`
 */
export async function makeTarball(
  root: string,
  bundle: Bundle,
  { name, version, description, license }: Manifest,
  folder: string,
  target: string,
): Promise<string> {
  const manifest = {
    name,
    version,
    description,
    license,
    type: 'module',
    bin: { holdfast: 'lib/main.js' },
    files: ['lib', 'THIRD-PARTY-NOTICES'],
    engines: { node: '>=24' },
    dependencies: bundle.dependencies,
  };
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  await writeFile(join(folder, 'THIRD-PARTY-NOTICES'), thirdPartyNotices(bundle.packageFolders));
  await copyFile(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  await copyFile(join(root, 'docs/install.md'), join(folder, 'README.md'));
  await mkdir(target, { recursive: true });
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', target], {
    cwd: folder,
  });
  const [first] = packed.parse(JSON.parse(stdout));
  const made = join(target, first?.filename ?? '');
  const named = join(target, `${name}-${version}.tgz`);
  if (made !== named) await rename(made, named);
  return named;
}
