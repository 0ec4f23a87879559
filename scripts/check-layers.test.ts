import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readProject } from './check-layers.ts';
import { checkLayers } from './layer-rule.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'holdfast-layers-'));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function write(path: string, content: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

test('reads workspaces and sources from disk, without installed packages', () => {
  write('package.json', JSON.stringify({ workspaces: ['packages/*'] }));
  write('packages/notes/readme.md', 'not a workspace');
  for (const name of ['contract', 'bytes']) {
    const manifest = {
      name: `@holdfast/${name}`,
      exports: { './*': './src/*.ts' },
      dependencies: { zod: '4.6.7' },
    };
    write(`packages/${name}/package.json`, JSON.stringify(manifest));
  }
  write('packages/contract/src/errors.ts', '');
  write('packages/bytes/src/deep/x.ts', "\nimport '@holdfast/contract/errors';\n");
  write('packages/bytes/node_modules/other/x.ts', "import '../../../contract/src/errors.ts';\n");

  const project = readProject(root);
  expect(project.workspaces.map((workspace) => workspace.folder).toSorted()).toEqual([
    'packages/bytes',
    'packages/contract',
  ]);
  expect(project.files.map((file) => file.path)).toEqual([
    'packages/bytes/src/deep/x.ts',
    'packages/contract/src/errors.ts',
  ]);
  expect(checkLayers(project)).toEqual([
    {
      path: 'packages/bytes/src/deep/x.ts',
      line: 2,
      message: 'packages/bytes/package.json does not declare "@holdfast/contract".',
    },
  ]);
});

test('a project without workspaces is refused', () => {
  write('package.json', '{}');
  expect(() => readProject(root)).toThrow('names no workspaces');
});
