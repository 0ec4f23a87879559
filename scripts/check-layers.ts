import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { findImports } from './import-statements.ts';
import { checkLayers, type Project, type SourceFile, type Workspace } from './layer-rule.ts';

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function stringsOf(value: unknown): Record<string, string> {
  if (!isRecord(value)) return {};
  const entries = Object.entries(value).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return Object.fromEntries(entries);
}

function readManifest(file: string): Record<string, unknown> {
  const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'));
  if (!isRecord(manifest)) throw new Error(`${file} must hold a JSON object.`);
  return manifest;
}

function readWorkspace(root: string, folder: string): Workspace {
  const manifest = readManifest(join(root, folder, 'package.json'));
  if (typeof manifest['name'] !== 'string') throw new Error(`${folder}/package.json has no name.`);
  return {
    name: manifest['name'],
    folder,
    exports: stringsOf(manifest['exports']),
    dependencies: new Set(Object.keys(stringsOf(manifest['dependencies']))),
    devDependencies: new Set(Object.keys(stringsOf(manifest['devDependencies']))),
  };
}

function withSlashes(path: string): string {
  return path.split(sep).join('/');
}

/** Reads the workspaces and sources of the project in `root`. */
export function readProject(root: string): Project {
  const patterns = readManifest(join(root, 'package.json'))['workspaces'];
  if (!Array.isArray(patterns)) throw new Error('package.json of the root names no workspaces.');
  const workspaces = patterns
    .filter((pattern) => typeof pattern === 'string')
    .flatMap((pattern) => globSync(pattern, { cwd: root }))
    .map(withSlashes)
    .filter((folder) => existsSync(join(root, folder, 'package.json')))
    .map((folder) => readWorkspace(root, folder));
  const files = globSync('{packages,apps,test,bench,scripts}/**/*.{ts,tsx}', {
    cwd: root,
    exclude: ['**/node_modules', '**/dist'],
  })
    .map(withSlashes)
    .toSorted()
    .map((path): SourceFile => ({ path, imports: findImports(readFileSync(join(root, path), 'utf8')) }));
  return { workspaces, files };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const project = readProject(dirname(import.meta.dirname));
  const violations = checkLayers(project);
  for (const { path, line, message } of violations) process.stdout.write(`${path}:${line}: ${message}\n`);
  if (violations.length > 0) process.exitCode = 1;
}
