import { mkdir, readdir, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { runProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

const metaPackage = 'linux-image-cloud-amd64';
/** Where tests keep what they have downloaded. */
export const cacheFolder = path.resolve(import.meta.dirname, '../../.cache/test');
const cachePrefix = 'kernel-';

/** Debian's cloud kernel, unpacked and not installed. */
export interface DebianKernel {
  /** Absolute path of the bootable image. */
  vmlinuz: string;
  /** Absolute path of the folder of its modules, as it is to be in /lib/modules. */
  moduleFolder: string;
  /** Absolute paths of the modules of these names and of all they need, in the order to load them. */
  modules(names: readonly string[]): Promise<string[]>;
}

/**
 * The kernel that Debian's `linux-image-cloud-amd64` stands for, from `.cache/test` of the repository, where it is
 * downloaded to once for each package version. Without a package source the newest cached one is taken.
 * Throws when there is neither.
 */
export async function debianKernel(): Promise<DebianKernel> {
  await mkdir(cacheFolder, { recursive: true });
  const found = await newestPackage();
  if (found === null) {
    const cached = (await readdir(cacheFolder))
      .filter((name) => name.startsWith(cachePrefix))
      .toSorted()
      .at(-1);
    if (cached !== undefined) return await openKernel(path.join(cacheFolder, cached));
    throw new Error(
      `No Debian kernel to boot: apt-cache does not know ${metaPackage}, and nothing is cached in ${cacheFolder}. ` +
        'Run `apt-get update` as root on a machine that reaches a Debian mirror, then try again.',
    );
  }
  const target = path.join(
    cacheFolder,
    `${cachePrefix}${found.name}_${found.version.replaceAll(':', '%3a')}`,
  );
  if (!(await readdir(cacheFolder)).includes(path.basename(target))) await download(found.name, target);
  return await openKernel(target);
}

/** Name and version of the package behind the meta package; null when apt has no lists, even after an update. */
async function newestPackage(): Promise<{ name: string; version: string } | null> {
  const ask = async (): Promise<{ name: string; version: string } | null> => {
    const depends = await runProcess('apt-cache', ['depends', metaPackage], { okCodes: [0, 100] });
    const name = /Depends: (linux-image-\S+)/.exec(depends.stdout)?.[1];
    if (name === undefined) return null;
    const show = await runProcess('apt-cache', ['show', '--no-all-versions', name], { okCodes: [0, 100] });
    const version = /^Version: (\S+)$/m.exec(show.stdout)?.[1];
    return version === undefined ? null : { name, version };
  };
  const known = await ask();
  if (known !== null) return known;
  // Without root or a network it fails: the caller then looks at the cache and says what is missing.
  await runProcess('apt-get', ['update'], { okCodes: [0, 100], timeoutMs: 180_000 });
  return await ask();
}

/** Unpacks the package beside the cache and moves it in whole, so that the cache never holds a half one. */
async function download(name: string, target: string): Promise<void> {
  await using work = await makeTempDir('kernel');
  // apt's own download user may not write to a private folder; as the calling user it can.
  const args = ['-o', 'APT::Sandbox::User=root', 'download', name];
  await runProcess('apt-get', args, { cwd: work.path, timeoutMs: 300_000 }).catch((cause: unknown) => {
    throw new Error(`The kernel package ${name} cannot be downloaded. Is a Debian mirror reachable?`, {
      cause,
    });
  });
  const deb = (await readdir(work.path)).find((file) => file.endsWith('.deb'));
  if (deb === undefined) throw new Error(`apt-get download ${name} left no .deb file.`);
  const staged = `${target}.part-${process.pid}`;
  await runProcess('dpkg', ['-x', work.join(deb), staged]);
  await rename(staged, target);
}

async function openKernel(root: string): Promise<DebianKernel> {
  const image = (await readdir(path.join(root, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
  if (image === undefined)
    throw new Error(`${root} holds no kernel image: remove that folder and try again.`);
  return {
    vmlinuz: path.join(root, 'boot', image),
    moduleFolder: path.join(root, 'lib/modules', image.slice('vmlinuz-'.length)),
    async modules(names) {
      const entries = await readdir(path.join(root, 'lib/modules'), { recursive: true, withFileTypes: true });
      const files = new Map(
        entries
          .filter((entry) => entry.name.endsWith('.ko'))
          .map((entry) => [entry.name.slice(0, -3), path.join(entry.parentPath, entry.name)]),
      );
      return await loadOrder(names, files);
    },
  };
}

/** Depth first over what each module says it needs. The package has no modules.dep: depmod runs when it is installed. */
async function loadOrder(names: readonly string[], files: ReadonlyMap<string, string>): Promise<string[]> {
  const order = new Set<string>();
  const add = async (name: string): Promise<void> => {
    const file = files.get(name);
    if (file === undefined) throw new Error(`The kernel package has no module ${name}.ko.`);
    if (order.has(file)) return;
    for (const needed of dependsOf(await readFile(file))) await add(needed);
    order.add(file);
  };
  for (const name of names) await add(name);
  return [...order];
}

/** The `depends=` entry of the module's .modinfo section: names with commas between, ended by NUL. */
function dependsOf(module: Buffer): string[] {
  const key = Buffer.from('\0depends=');
  const at = module.indexOf(key);
  if (at < 0) return [];
  const start = at + key.length;
  const names = module.toString('latin1', start, module.indexOf(0, start));
  return names === '' ? [] : names.split(',');
}
