import { posix } from 'node:path';
import type { ImportStatement } from './import-statements.ts';

/** A workspace of the project, as its package.json describes it. */
export interface Workspace {
  name: string;
  /** Relative to the root, with forward slashes. */
  folder: string;
  /** `exports` of package.json: subpath (perhaps with one `*`) → file. */
  exports: Readonly<Record<string, string>>;
  dependencies: ReadonlySet<string>;
  devDependencies: ReadonlySet<string>;
}

/** A source file: its path relative to the root, with forward slashes, and what it imports. */
export interface SourceFile {
  path: string;
  imports: readonly ImportStatement[];
}

export interface Project {
  workspaces: readonly Workspace[];
  files: readonly SourceFile[];
}

/** A broken rule, in a sentence. */
export interface Violation {
  path: string;
  line: number;
  message: string;
}

/** Floors, ground first. A workspace imports from lower floors only, so its neighbours are out of reach as well. */
const floors: readonly (readonly string[])[] = [
  ['packages/contract'],
  ['packages/bytes'],
  ['packages/storage', 'packages/catalog', 'packages/tftp', 'packages/boot', 'packages/providers'],
  ['packages/client'],
  ['apps/*'],
  // The command starts what is below it: `holdfast serve` is the hub.
  ['apps/cli'],
];

/** Real servers and tools, for tests and benchmarks. */
const testSupport = 'test/support';

/** Workspaces that are about the whole house: they may use any other one that they declare. */
const wholeHouse: readonly string[] = [testSupport, 'bench'];

/** Applications whose `src` is divided into rooms. */
const appsWithRooms: readonly string[] = ['apps/hub'];

/** Files that wire the rooms together. */
const wiring: readonly string[] = ['main.ts', 'hub-command.ts', 'start.ts', 'context.ts'];

/** Tests and what only tests use. */
function isTest(path: string): boolean {
  return /(\.test|-fixture)\.tsx?$|\/testing\//.test(path);
}

function floorOf(workspace: Workspace): number {
  const named = floors.findIndex((floor) => floor.includes(workspace.folder));
  if (named !== -1) return named;
  return floors.findIndex((floor) => floor.includes(`${posix.dirname(workspace.folder)}/*`));
}

function workspaceOf(project: Project, path: string): Workspace | undefined {
  return project.workspaces.find((workspace) => path.startsWith(`${workspace.folder}/`));
}

/** The workspace that a bare specifier names, and the subpath in the form of `exports`. */
function resolveName(
  project: Project,
  specifier: string,
): { workspace: Workspace; subpath: string } | undefined {
  for (const workspace of project.workspaces) {
    if (specifier === workspace.name) return { workspace, subpath: '.' };
    if (specifier.startsWith(`${workspace.name}/`)) {
      return { workspace, subpath: `.${specifier.slice(workspace.name.length)}` };
    }
  }
  return undefined;
}

/** The file that `exports` gives for a subpath, relative to the root. */
function exportedFile(workspace: Workspace, subpath: string): string | undefined {
  for (const [pattern, target] of Object.entries(workspace.exports)) {
    const [before = '', after] = pattern.split('*');
    if (after === undefined) {
      if (pattern === subpath) return posix.join(workspace.folder, target);
    } else if (
      subpath.length >= before.length + after.length &&
      subpath.startsWith(before) &&
      subpath.endsWith(after)
    ) {
      const middle = subpath.slice(before.length, subpath.length - after.length);
      return posix.join(workspace.folder, target.replace('*', middle));
    }
  }
  return undefined;
}

function checkNamedImport(
  project: Project,
  file: SourceFile,
  specifier: string,
  paths: ReadonlySet<string>,
): string | undefined {
  const target = resolveName(project, specifier);
  if (target === undefined) return undefined;
  const { workspace, subpath } = target;
  const exported = exportedFile(workspace, subpath);
  // Only sources are in the project; the compiler sees whether data is there.
  if (exported === undefined || !(paths.has(exported) || exported.endsWith('.json'))) {
    return `${workspace.folder}/package.json does not export "${specifier}".`;
  }
  const importer = workspaceOf(project, file.path);
  if (importer === undefined) return undefined;
  if (importer === workspace)
    return `A workspace imports its own files by a relative path, not as "${specifier}".`;

  const declared =
    importer.dependencies.has(workspace.name) ||
    (isTest(file.path) && importer.devDependencies.has(workspace.name));
  if (!declared) return `${importer.folder}/package.json does not declare "${workspace.name}".`;
  if (wholeHouse.includes(importer.folder)) return undefined;
  if (workspace.folder === testSupport) {
    return isTest(file.path) ? undefined : `Only tests may import "${workspace.name}".`;
  }
  if (floorOf(importer) < 0) return `${importer.folder} has no floor; give it one in scripts/layer-rule.ts.`;
  if (floorOf(workspace) < 0)
    return `${workspace.folder} has no floor; give it one in scripts/layer-rule.ts.`;
  return floorOf(workspace) < floorOf(importer)
    ? undefined
    : `${importer.folder} must not import ${workspace.folder}: arrows point downwards only.`;
}

function checkRelativeImport(project: Project, file: SourceFile, target: string): string | undefined {
  const importer = workspaceOf(project, file.path);
  const owner = workspaceOf(project, target);
  if (importer === owner) return undefined;
  // Tests of the whole house live in the same tree as what starts their servers.
  if (owner?.folder === testSupport && file.path.startsWith('test/')) return undefined;
  if (owner !== undefined)
    return `Import ${owner.folder} by its name "${owner.name}/…", not by a path into its folder.`;
  return `A workspace must not reach out of its folder: ${target}.`;
}

/** Where a file stands inside an application: wiring, the routes, or a room with its door. */
interface Place {
  app: string;
  room: string;
  door: boolean;
}

function placeOf(path: string): Place | undefined {
  const app = appsWithRooms.find((folder) => path.startsWith(`${folder}/src/`));
  if (app === undefined) return undefined;
  const [first = '', ...rest] = path.slice(`${app}/src/`.length).split('/');
  // A file at the top of src is a room of one file, which is its own door.
  if (rest.length === 0) return { app, room: first, door: true };
  return { app, room: first, door: rest.length === 1 && rest[0] === `${first}.ts` };
}

function checkRooms(file: SourceFile, statement: ImportStatement, target: string): string | undefined {
  const from = placeOf(file.path);
  const to = placeOf(target);
  if (from === undefined || to === undefined || isTest(file.path)) return undefined;
  if (from.room === to.room || wiring.includes(from.room)) return undefined;
  if (wiring.includes(to.room)) {
    // Routes are given the context; its type is all that they may know of it.
    if (from.room === 'routes' && to.room === 'context.ts' && statement.typeOnly) return undefined;
    return `${from.room} must not import ${to.room}: only ${wiring.join(', ')} know all rooms.`;
  }
  if (to.room === 'routes') return `${from.room} must not import routes: arrows point from routes to rooms.`;
  // The door rule is between rooms; routes are the callers of all of them.
  return to.door || from.room === 'routes'
    ? undefined
    : `Use the room ${to.room} by its door ${to.room}/${to.room}.ts, not by ${target}.`;
}

/** The arrows between the rooms of one application: room → those that it imports, with where it does. */
function roomArrows(files: readonly SourceFile[], app: string): Map<string, Map<string, Violation>> {
  const arrows = new Map<string, Map<string, Violation>>();
  for (const file of files) {
    const from = placeOf(file.path);
    if (from === undefined || from.app !== app || isTest(file.path) || wiring.includes(from.room)) continue;
    for (const statement of file.imports) {
      if (!statement.specifier.startsWith('.')) continue;
      const to = placeOf(posix.join(posix.dirname(file.path), statement.specifier));
      if (to === undefined || to.room === from.room || wiring.includes(to.room)) continue;
      const targets = arrows.get(from.room) ?? new Map<string, Violation>();
      arrows.set(from.room, targets);
      if (!targets.has(to.room)) targets.set(to.room, { path: file.path, line: statement.line, message: '' });
    }
  }
  return arrows;
}

/** Circles between rooms, each reported once, at the import that closes it. */
function findCircles(files: readonly SourceFile[], app: string): Violation[] {
  const arrows = roomArrows(files, app);
  const done = new Set<string>();
  const violations: Violation[] = [];
  const visit = (room: string, trail: readonly string[]): void => {
    for (const [next, where] of arrows.get(room) ?? []) {
      const start = [...trail, room].indexOf(next);
      if (start >= 0) {
        const circle = [...trail.slice(start), room, next].join(' → ');
        violations.push({ ...where, message: `Rooms go in a circle: ${circle}.` });
      } else if (!done.has(next)) {
        visit(next, [...trail, room]);
      }
    }
    done.add(room);
  };
  for (const room of [...arrows.keys()].toSorted()) if (!done.has(room)) visit(room, []);
  return violations;
}

/** All violations of the layer rule in a project, by file and line. */
export function checkLayers(project: Project): Violation[] {
  const paths = new Set(project.files.map((file) => file.path));
  const violations: Violation[] = [];
  for (const file of project.files) {
    for (const statement of file.imports) {
      let message: string | undefined;
      if (statement.specifier.startsWith('.')) {
        const target = posix.join(posix.dirname(file.path), statement.specifier);
        message = checkRelativeImport(project, file, target) ?? checkRooms(file, statement, target);
      } else {
        message = checkNamedImport(project, file, statement.specifier, paths);
      }
      if (message !== undefined) violations.push({ path: file.path, line: statement.line, message });
    }
  }
  for (const app of appsWithRooms) violations.push(...findCircles(project.files, app));
  return violations.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : a.line - b.line));
}
