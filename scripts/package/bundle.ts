import { readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { rolldown, type Plugin } from 'rolldown';

/**
 * Packages that stay outside of the bundle: native code beside JavaScript that looks for it by its own path. Those of
 * npm's `dependencies` are installed with the command; `pg-native` is optional and never there.
 */
const nativePackages = ['better-sqlite3'] as const;
const absentPackages = ['pg-native'];

/** `new URL('./x.ts', import.meta.url)`: how a source file names a worker thread or a program of its own. */
const programReference = /new URL\(\s*(['"])((?:\.{1,2}\/)?[\w./-]+\.ts)\1,\s*import\.meta\.url\s*\)/g;

/** What a bundle is made of. */
export interface Bundle {
  /** Folder with `main.js`, the programs that it starts, and the code that they share. */
  readonly folder: string;
  /** Names of the files in it. */
  readonly files: readonly string[];
  /** Native packages that have to be beside it, by name, in their exact versions. */
  readonly dependencies: Readonly<Record<string, string>>;
  /** Folders of the npm packages that are in it. */
  readonly packageFolders: readonly string[];
}

/**
 * Makes JavaScript of `entry` and all it imports. Everything lies in one folder, so that a reference from any file
 * to a program is `./its-name.js`.
 * @param entry absolute path of the TypeScript file that becomes `main.js`
 * @throws Error of the bundler, with file and line
 */
export async function makeBundle(root: string, entry: string, folder: string): Promise<Bundle> {
  await using build = await rolldown({
    input: { main: entry },
    platform: 'node',
    external: [...nativePackages, ...absentPackages],
    plugins: [programsOf(root)],
    transform: { target: 'node24' },
    onLog(level, log, tell) {
      // Comments of dependencies that the bundler cannot place are no concern of ours.
      if (log.code !== 'INVALID_ANNOTATION' && log.code !== 'EVAL') tell(level, log);
    },
  });
  const { output } = await build.write({
    dir: folder,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    minify: 'dce-only',
  });
  const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  return {
    folder,
    files: output.map((file) => file.fileName),
    dependencies: Object.fromEntries(nativePackages.map((name) => [name, installedVersion(root, name)])),
    packageFolders: [...new Set(modules.flatMap((id) => packageFolderOf(id) ?? []))].toSorted(),
  };
}

/** Adds every program that a source file refers to by its URL to the bundle, under a name made of its path. */
function programsOf(root: string): Plugin {
  const emitted = new Set<string>();
  return {
    name: 'holdfast-programs',
    transform: {
      filter: { id: { include: /\.ts$/, exclude: /[/\\]node_modules[/\\]/ }, code: programReference },
      handler(code, id) {
        return code.replace(programReference, (_reference, _quote, target: string) => {
          const program = join(dirname(id), target);
          const name = relative(root, program).split(sep).slice(1).join('-').replace('-src-', '-');
          const fileName = name.replace(/\.ts$/, '.js');
          if (!emitted.has(program)) this.emitFile({ type: 'chunk', id: program, fileName });
          emitted.add(program);
          return `new URL('./${fileName}', import.meta.url)`;
        });
      },
    },
  };
}

function packageFolderOf(moduleId: string): string | undefined {
  return /^(.*[/\\]node_modules[/\\](?:@[^/\\]+[/\\])?[^/\\]+)[/\\]/.exec(moduleId)?.[1];
}

function installedVersion(root: string, name: string): string {
  return readManifest(join(root, 'node_modules', name)).version;
}

/** What a package says of itself. */
export interface Manifest {
  name: string;
  version: string;
  description: string;
  license: string;
}

/** Reads the package.json of a folder. Throws when it has no name or version. */
export function readManifest(folder: string): Manifest {
  const parsed: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const text = (name: string): string | undefined => {
    const value: unknown =
      typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, name) : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  const name = text('name');
  const version = text('version');
  if (name === undefined || version === undefined)
    throw new Error(`${folder}/package.json has no name or version.`);
  return {
    name,
    version,
    description: text('description') ?? '',
    license: text('license') ?? 'see its own file',
  };
}
