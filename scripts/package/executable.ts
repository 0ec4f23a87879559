import { execFile } from 'node:child_process';
import { createHash, hash } from 'node:crypto';
import { chmod, copyFile, glob, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'rolldown';
import type { Contents } from './unpacking.ts';

const run = promisify(execFile);
/** Node looks for this text in itself to know that something was injected (nodejs.org/api/single-executable-applications). */
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
const sectionName = 'NODE_SEA_BLOB';
const mainFile = 'node_modules/holdfast/lib/main.js';
/** What the native packages need at run time on Linux x64 with glibc. */
const nativeFiles = ['better-sqlite3/{package.json,LICENSE,lib/**/*.js,prebuilds/linux-x64.node}'];

/**
 * Makes one executable file for Linux x64 of Node itself, the package in `folder` (laid out as npm would install it)
 * and the native packages.
 * @param work an empty folder for what is made on the way
 * @param target path of the executable
 */
export async function makeExecutable(
  root: string,
  folder: string,
  work: string,
  target: string,
): Promise<void> {
  const assets = await carriedFiles(root, folder);
  const contents = await contentsOf(assets);
  await build({
    input: join(import.meta.dirname, 'launcher.ts'),
    platform: 'node',
    transform: { target: 'node24', define: { carriedContents: JSON.stringify(contents) } },
    output: { file: join(work, 'launcher.cjs'), format: 'cjs' },
  });
  const configuration = {
    main: join(work, 'launcher.cjs'),
    output: join(work, 'launcher.blob'),
    disableExperimentalSEAWarning: true,
    useCodeCache: false,
    useSnapshot: false,
    assets: Object.fromEntries(assets),
  };
  await writeFile(join(work, 'sea.json'), JSON.stringify(configuration));
  await run(process.execPath, ['--experimental-sea-config', join(work, 'sea.json')]);

  const unfinished = join(work, 'unfinished');
  await copyFile(process.execPath, unfinished);
  await chmod(unfinished, 0o755);
  const postject = fileURLToPath(import.meta.resolve('postject/dist/cli.js'));
  const what = [unfinished, sectionName, configuration.output, '--sentinel-fuse', fuse];
  await run(process.execPath, [postject, ...what]);
  await rename(unfinished, target);
}

/** Paths below the unpacked folder, with the files whose bytes they get. */
async function carriedFiles(root: string, folder: string): Promise<Map<string, string>> {
  const found: [string, string][] = [];
  const collect = async (patterns: readonly string[], cwd: string, below: string): Promise<void> => {
    for await (const entry of glob([...patterns], { cwd, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = join(entry.parentPath, entry.name);
      found.push([`${below}${file.slice(cwd.length)}`, file]);
    }
  };
  await collect(
    ['package.json', 'LICENSE', 'THIRD-PARTY-NOTICES', 'lib/*.js'],
    folder,
    'node_modules/holdfast',
  );
  await collect(nativeFiles, join(root, 'node_modules'), 'node_modules');
  return new Map(found.toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

async function contentsOf(assets: ReadonlyMap<string, string>): Promise<Contents> {
  const files: { path: string; sha256: string }[] = [];
  const all = createHash('sha256');
  for (const [path, file] of assets) {
    const sha256 = hash('sha256', await readFile(file), 'hex');
    files.push({ path, sha256 });
    all.update(`${sha256} ${path}\n`);
  }
  if (!assets.has(mainFile)) throw new Error(`The package has no ${mainFile}.`);
  return { id: all.digest('hex').slice(0, 16), main: mainFile, files };
}
