import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const root = dirname(import.meta.dirname);
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-summary-'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Run {
  status: number | null;
  lines: string[];
}

/** Runs vitest over test files; the lines are what it wrote to standard output, without colours. */
function runVitest(
  files: Record<string, string>,
  env: Record<string, string> = {},
  args: string[] = [],
): Run {
  for (const [name, source] of Object.entries(files)) {
    writeFileSync(join(folder, name), `import { beforeAll, describe, test } from 'vitest';\n${source}\n`);
  }
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(CI|HOLDFAST_SLOW|FORCE_COLOR|VITEST.*)$/.test(name),
  );
  const result = spawnSync(
    process.execPath,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      `--reporter=${join(root, 'scripts/vitest-summary.ts')}`,
      ...args,
    ],
    { cwd: folder, encoding: 'utf8', env: { ...Object.fromEntries(inherited), NO_COLOR: '1', ...env } },
  );
  return { status: result.status, lines: result.stdout.trim().split('\n') };
}

const passing = {
  'a.test.ts': "test('one', () => {}); describe('group', () => { test('two', () => {}); });",
};

test('the last line counts what passed', () => {
  expect(runVitest(passing)).toEqual({ status: 0, lines: ['2 passed, 0 failed'] });
});

test('files and hooks that break count as failures beside failing tests', () => {
  const run = runVitest({
    ...passing,
    'failing.test.ts': "test('three', () => { throw new Error('no'); });",
    'broken.test.ts': "throw new Error('while loading');",
    'hook.test.ts':
      "describe('group', () => { beforeAll(() => { throw new Error('hook'); }); test('four', () => {}); });",
  });
  expect(run.status).toBe(1);
  expect(run.lines.at(-1)).toBe('2 passed, 3 failed');
});

const skipping = { 'a.test.ts': "test('one', () => {}); test.skip('two', () => {}); test.todo('three');" };

test('a skipped test passes unnoticed at home and fails the run with CI=true', () => {
  expect(runVitest(skipping)).toEqual({ status: 0, lines: ['1 passed, 0 failed'] });
  const run = runVitest(skipping, { CI: 'true' });
  expect(run.status).toBe(1);
  expect(run.lines).toEqual([
    '2 skipped, which is a failure with CI=true:',
    '  a.test.ts > two',
    '  a.test.ts > three',
    '1 passed, 0 failed',
  ]);
});

test('tests left out by a name pattern are not held against the run', () => {
  expect(runVitest(passing, { CI: 'true' }, ['-t', 'one'])).toEqual({
    status: 0,
    lines: ['1 passed, 0 failed'],
  });
});

test('the slowest tests are listed on request', () => {
  const run = runVitest(passing, { HOLDFAST_SLOW: '1' });
  expect(run.lines[0]).toBe('Slowest tests:');
  expect(
    run.lines
      .slice(1, -1)
      .map((line) => line.replace(/^ *\d+\.\d\d s {2}/, ''))
      .toSorted(),
  ).toEqual(['a.test.ts > group > two', 'a.test.ts > one']);
});
