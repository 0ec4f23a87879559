import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ChildProcess } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FixtureProject } from './setup/fixture-project.ts';

let project: FixtureProject;

beforeEach(async () => {
  project = await FixtureProject.create();
  project.writeMain(
    'const args: string[] = process.argv.slice(2);\nconsole.log(JSON.stringify({ args, cwd: process.cwd() }));\n',
  );
});

afterEach(() => {
  project[Symbol.dispose]();
});

function outputOf(child: ChildProcess): NonNullable<ChildProcess['stdout']> {
  if (child.stdout === null) throw new Error('The output must be piped.');
  return child.stdout;
}

async function firstLine(stream: NodeJS.ReadableStream | null): Promise<void> {
  if (stream === null) throw new Error('The stream must be piped.');
  await once(createInterface({ input: stream }), 'line');
}

function setUpLines(stderr: string): number {
  return stderr.split('\n').filter((line) => line.startsWith('Setting up')).length;
}

test('the first start sets up and prints only what the program prints; the second is silent', async () => {
  const first = await project.run(['start', '--port', '0']);
  expect(first).toMatchObject({
    code: 0,
    stdout: `${JSON.stringify({ args: ['--port', '0'], cwd: project.root })}\n`,
  });
  expect(first.stderr).toMatch(/^Setting up \(first time only\)…\nSet up in \d+ s\.\n$/);

  const second = await project.run(['start']);
  expect(second).toMatchObject({ code: 0, stderr: '' });
});

test('set-up brings development dependencies and the pinned Node whatever the user has configured', async () => {
  project.write('.npmrc', 'ignore-scripts=true\nomit=dev\nengine-strict=true\n');
  const result = await project.run(['start'], { NODE_ENV: 'production' });
  expect(result, result.stderr).toMatchObject({ code: 0 });
  expect(existsSync(join(project.root, 'node_modules/.bin/node'))).toBe(true);
});

test('tests run without the longer suite, unless a project is chosen', async () => {
  await project.run(['start']);
  project.write('scripts/debian-packages.ts', '');
  project.write('node_modules/vitest/vitest.mjs', 'console.log(process.argv.slice(2).join(" "));\n');
  const vitestArgs = async (...args: string[]): Promise<string> => (await project.run(args)).stdout.trim();

  expect(await vitestArgs('test')).toBe('run --project unit --project system');
  expect(await vitestArgs('test', 'packages/bytes')).toBe(
    'run --project unit --project system packages/bytes',
  );
  expect(await vitestArgs('test', '--project', 'unit')).toBe('run --project unit');
  expect(await vitestArgs('test', '--project=long')).toBe('run --project=long');
  expect(await vitestArgs('test:long')).toBe('run --project long');
});

test('an install by hand counts as a set-up', async () => {
  await project.npm('ci', '--ignore-scripts=false', '--no-audit', '--no-fund');
  expect(await project.run(['start'])).toMatchObject({ code: 0, stderr: '' });
});

test('a changed lock file is installed anew', async () => {
  await project.run(['start']);
  await project.addArchive({ name: 'extra', version: '1.0.0' });
  project.writeManifest({ node: 'file:archives/node.tgz', extra: 'file:archives/extra.tgz' });
  await project.lock();
  const result = await project.run(['start']);
  expect(result).toMatchObject({ code: 0 });
  expect(result.stderr).toContain('Setting up (the dependencies changed)…');
  expect(existsSync(join(project.root, 'node_modules/extra/package.json'))).toBe(true);
});

test('three first runs at once set up once and all succeed', async () => {
  const results = await Promise.all([1, 2, 3].map(() => project.run(['start'])));
  expect(results.map((result) => result.code)).toEqual([0, 0, 0]);
  expect(results.map((result) => setUpLines(result.stderr)).toSorted((a, b) => a - b)).toEqual([0, 0, 1]);
});

test('a set-up that was killed is finished by the next run', async () => {
  const first = project.start(['start']);
  await firstLine(first.stderr);
  if (first.pid === undefined) throw new Error('run.cjs did not start.');
  process.kill(-first.pid, 'SIGKILL');
  await once(first, 'exit');

  const second = await project.run(['start']);
  expect(second, second.stderr).toMatchObject({ code: 0 });
  expect(setUpLines(second.stderr)).toBe(1);
  expect(await project.run(['start'])).toMatchObject({ code: 0, stderr: '' });
});

test('an unreachable registry is explained, and leaves nothing that looks finished', async () => {
  project.write('.npmrc', 'registry=http://127.0.0.1:1/\nfetch-retries=0\n');
  const lockFile = join(project.root, 'package-lock.json');
  project.writeManifest({ node: 'file:archives/node.tgz', 'holdfast-fixture-absent': '1.0.0' });
  const lock = {
    name: 'fixture',
    version: '1.0.0',
    lockfileVersion: 3,
    packages: {
      '': {
        devDependencies: { node: 'file:archives/node.tgz', 'holdfast-fixture-absent': '1.0.0' },
        workspaces: ['apps/*'],
      },
      'apps/hub': { name: '@fixture/hub', version: '1.0.0' },
      'node_modules/@fixture/hub': { resolved: 'apps/hub', link: true },
      'node_modules/holdfast-fixture-absent': { version: '1.0.0', dev: true },
      'node_modules/node': { version: process.versions.node, resolved: 'file:archives/node.tgz', dev: true },
    },
  };
  writeFileSync(lockFile, JSON.stringify(lock));
  const result = await project.run(['start']);
  expect(result).toMatchObject({ code: 1, stdout: '' });
  expect(result.stderr).toContain('The npm registry cannot be reached. Check the network');
  expect(existsSync(join(project.root, 'node_modules/.holdfast-setup'))).toBe(false);
});

const countsSignals = `
let signals = 0;
const keepAlive = setInterval(() => undefined, 1000);
process.on('SIGTERM', () => {
  signals += 1;
  console.log('signals ' + signals);
  setImmediate(() => { clearInterval(keepAlive); process.exitCode = 7; });
});
console.log('ready');
`;

test('a signal reaches the program once, and its exit code comes back', async () => {
  project.writeMain(countsSignals);
  const child = project.start(['start']);
  const lines = createInterface({ input: outputOf(child) });
  const output: string[] = [];
  lines.on('line', (line) => {
    output.push(line);
    // A terminal signals the whole group, and npm its child once more.
    if (line === 'ready' && child.pid !== undefined) {
      process.kill(-child.pid, 'SIGTERM');
      child.kill('SIGTERM');
    }
  });
  await once(child, 'close');
  expect(child.exitCode).toBe(7);
  expect(output).toEqual(['ready', 'signals 1']);
});

test('a program that dies by a signal makes the runner die by the same signal', async () => {
  project.writeMain("process.kill(process.pid, 'SIGABRT');\nsetInterval(() => undefined, 1000);\n");
  expect(await project.run(['start'])).toMatchObject({ code: null, signal: 'SIGABRT' });
});

test('a program does not outlive a runner that was killed', async () => {
  project.writeMain(countsSignals);
  const child = project.start(['start']);
  const output = outputOf(child);
  const everything = text(output);
  await once(output, 'data');
  if (child.pid === undefined) throw new Error('run.cjs did not start.');
  process.kill(-child.pid, 'SIGKILL');
  // The output ends when its last writer, the program, has ended.
  expect(await everything).toBe('ready\nsignals 1\n');
});

test('an unknown command is refused with the list of commands', async () => {
  const result = await project.run(['fly']);
  expect(result).toMatchObject({ code: 2, stdout: '' });
  expect(result.stderr).toContain('start|test|test:long|check|bench|package|format');
});

test('a command whose program is not in the working copy says so', async () => {
  const result = await project.run(['bench']);
  expect(result).toMatchObject({ code: 1, stdout: '' });
  expect(result.stderr).toContain('"bench" cannot run: scripts/debian-packages.ts is missing');
});
