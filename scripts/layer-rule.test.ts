import { describe, expect, test } from 'vitest';
import { findImports } from './import-statements.ts';
import { checkLayers, type Workspace } from './layer-rule.ts';

function workspace(folder: string, dependencies: string[] = [], devDependencies: string[] = []): Workspace {
  const short = folder === 'test/support' ? 'test-support' : (folder.split('/').at(-1) ?? '');
  const target = folder === 'test/support' ? './*.ts' : './src/*.ts';
  return {
    name: `@holdfast/${short}`,
    folder,
    exports: folder === 'apps/hub' ? { './context': './src/context.ts' } : { './*': target },
    dependencies: new Set(dependencies.map((name) => `@holdfast/${name}`)),
    devDependencies: new Set(devDependencies.map((name) => `@holdfast/${name}`)),
  };
}

const workspaces = [
  workspace('packages/contract', ['bytes']),
  workspace('packages/bytes', ['contract']),
  workspace('packages/storage', ['contract', 'bytes', 'catalog'], ['test-support']),
  workspace('packages/catalog', ['contract', 'bytes']),
  workspace('packages/boot', ['contract', 'catalog']),
  workspace('packages/client', ['contract', 'storage']),
  workspace('apps/hub', ['contract', 'storage', 'cli']),
  workspace('apps/cli', ['client', 'hub']),
  workspace('test/support', ['hub']),
  workspace('bench', ['storage', 'test-support']),
];

/** Files that exist besides those of a case. */
const standing = {
  'packages/contract/src/errors.ts': '',
  'packages/bytes/src/sha256.ts': '',
  'packages/storage/src/backend.ts': '',
  'packages/catalog/src/catalog.ts': '',
  'apps/hub/src/context.ts': '',
  'apps/cli/src/run.ts': '',
  'test/support/hub.ts': '',
};

/** The messages for a project that holds the given files. */
function messages(sources: Record<string, string>): string[] {
  const files = Object.entries({ ...standing, ...sources }).map(([path, source]) => {
    return { path, imports: findImports(source) };
  });
  return checkLayers({ workspaces, files }).map(
    (violation) => `${violation.path}:${violation.line} ${violation.message}`,
  );
}

describe('between workspaces', () => {
  test.each([
    ['packages/bytes/src/x.ts', "import '@holdfast/contract/errors';"],
    ['packages/storage/src/x.ts', "import '@holdfast/bytes/sha256';"],
    ['packages/client/src/x.ts', "import '@holdfast/storage/backend';"],
    ['apps/hub/src/main.ts', "import '@holdfast/storage/backend';"],
    ['apps/cli/src/serve.ts', "import '@holdfast/hub/context';"],
    ['packages/storage/src/x.ts', "import './local/local.ts';"],
    ['packages/storage/src/x.test.ts', "import '@holdfast/test-support/hub';"],
    ['test/support/x.ts', "import '@holdfast/hub/context';"],
    ['test/system/x.test.ts', "import '../support/hub.ts'; import '@holdfast/hub/context';"],
    ['packages/storage/src/server-fixture.ts', "import '@holdfast/test-support/hub';"],
    ['bench/main.ts', "import '@holdfast/storage/backend'; import '@holdfast/test-support/hub';"],
    ['packages/storage/src/x.ts', "import 'node:fs'; import 'zod';"],
  ])('%s may hold %s', (path, source) => {
    expect(messages({ [path]: source })).toEqual([]);
  });

  test.each([
    [
      'packages/contract/src/x.ts',
      '@holdfast/bytes/sha256',
      'packages/contract must not import packages/bytes',
    ],
    [
      'packages/storage/src/x.ts',
      '@holdfast/catalog/catalog',
      'packages/storage must not import packages/catalog',
    ],
    ['packages/boot/src/x.ts', '@holdfast/catalog/catalog', 'packages/boot must not import packages/catalog'],
    ['apps/hub/src/x.ts', '@holdfast/cli/run', 'apps/hub must not import apps/cli'],
    [
      'bench/main.ts',
      '@holdfast/contract/errors',
      'bench/package.json does not declare "@holdfast/contract"',
    ],
    ['packages/catalog/src/x.ts', '@holdfast/storage/backend', 'does not declare "@holdfast/storage"'],
    [
      'packages/catalog/src/x.test.ts',
      '@holdfast/test-support/hub',
      'does not declare "@holdfast/test-support"',
    ],
    ['packages/storage/src/x.ts', '@holdfast/test-support/hub', 'does not declare "@holdfast/test-support"'],
    ['packages/bytes/src/x.ts', '@holdfast/contract/absent', 'does not export "@holdfast/contract/absent"'],
    ['packages/bytes/src/x.ts', '@holdfast/contract', 'does not export "@holdfast/contract"'],
    ['packages/bytes/src/x.ts', '@holdfast/contract/src/errors.ts', 'does not export'],
    ['packages/bytes/src/x.ts', '@holdfast/bytes/sha256', 'by a relative path'],
    ['packages/bytes/src/x.ts', '../../contract/src/errors.ts', 'Import packages/contract by its name'],
    ['packages/bytes/src/x.ts', '../../../scripts/check.ts', 'must not reach out of its folder'],
    ['test/system/x.test.ts', '../../apps/hub/src/context.ts', 'Import apps/hub by its name'],
    ['test/system/x.test.ts', '@holdfast/hub/main', 'does not export "@holdfast/hub/main"'],
  ])('%s must not import %s', (path, specifier, message) => {
    const found = messages({ [path]: `\nimport type { X } from '${specifier}';`, 'apps/cli/src/run.ts': '' });
    expect(found).toEqual([expect.stringContaining(`${path}:2 `)]);
    expect(found[0]).toContain(message);
  });
});

describe('between the rooms of the hub', () => {
  const hub = (files: Record<string, string>): string[] =>
    messages(
      Object.fromEntries(Object.entries(files).map(([path, source]) => [`apps/hub/src/${path}`, source])),
    );

  test('wiring and routes see every file of a room; rooms see the doors of rooms', () => {
    const found = hub({
      'main.ts': "import './context.ts'; import './config/env.ts';",
      'context.ts': "import './library/checksums.ts'; import './routes/files.ts';",
      'routes/files.ts':
        "import '../http/mount.ts'; import './views.ts'; import type { C } from '../context.ts';",
      'library/library.ts':
        "import './checksums.ts'; import '../backends/backends.ts'; import '../events.ts';",
      'backends/backends.ts': "import '../events.ts';",
    });
    expect(found).toEqual([]);
  });

  test.each([
    ['serving/serving.ts', '../library/checksums.ts', 'Use the room library by its door library/library.ts'],
    ['serving/serving.ts', '../library/deep/library.ts', 'Use the room library by its door'],
    ['library/library.ts', '../routes/files.ts', 'library must not import routes'],
    ['library/library.ts', '../context.ts', 'library must not import context.ts'],
    ['routes/files.ts', '../context.ts', 'routes must not import context.ts'],
    ['events.ts', './main.ts', 'events.ts must not import main.ts'],
  ])('%s must not import %s', (path, specifier, message) => {
    expect(hub({ [path]: `import '${specifier}';` })).toEqual([expect.stringContaining(message)]);
  });

  test('a test may reach for any file', () => {
    expect(
      hub({ 'routes/files.test.ts': "import '../context.ts'; import '../library/checksums.ts';" }),
    ).toEqual([]);
  });

  test('a circle of rooms is reported once, with its way', () => {
    const found = hub({
      'a/a.ts': "import '../b/b.ts';",
      'b/b.ts': "import './inner.ts';",
      'b/inner.ts': "import type { C } from '../c.ts';",
      'c.ts': "import './a/a.ts';",
    });
    expect(found).toEqual(['apps/hub/src/c.ts:1 Rooms go in a circle: a → b → c.ts → a.']);
  });

  test('rooms that share a room are no circle', () => {
    const found = hub({
      'a/a.ts': "import '../b/b.ts'; import '../c.ts';",
      'b/b.ts': "import '../c.ts';",
      'c.ts': '',
    });
    expect(found).toEqual([]);
  });
});
