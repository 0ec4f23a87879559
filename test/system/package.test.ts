import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, chmod, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type ProcessExit, runProcess, type RunResult, startProcess } from '../support/process.ts';
import { RandomContent } from '../support/random-file.ts';
import { makeTempDir, type TempDir } from '../support/temp-dir.ts';

const repository = path.resolve(import.meta.dirname, '../..');
const nodeFolder = path.join(repository, 'node_modules/node/bin');
const adminKey = 'a-key-for-the-tests-of-the-package-long-enough';
const MIB = 1024 ** 2;

const resources = new AsyncDisposableStack();
let work: TempDir;
let tarball: string;
let executable: string;
let version: string;

/** A way to run the command: what stands before its arguments, with an environment that has nothing else. */
interface Installed {
  command: readonly string[];
  env: Readonly<Record<string, string>>;
}

beforeAll(async () => {
  work = resources.use(await makeTempDir('package'));
  const script = path.join(repository, 'scripts/package.ts');
  const { stdout } = await runProcess(path.join(nodeFolder, 'node'), [script, '--out', work.join('dist')], {
    timeoutMs: 120_000,
  });
  [tarball = '', executable = ''] = stdout.split('\n').map((line) => line.split('\t')[0] ?? '');
  const manifest = z.object({ version: z.string() });
  const text = await readFile(path.join(repository, 'apps/cli/package.json'), 'utf8');
  ({ version } = manifest.parse(JSON.parse(text)));
  await mkdir(work.join('tree/deep'), { recursive: true });
  await new RandomContent('large', 20 * MIB).writeTo(work.join('large.bin'));
  await writeFile(work.join('tree/a.txt'), 'a');
  await writeFile(work.join('tree/deep/b.txt'), 'b');
});

afterAll(() => resources.disposeAsync());

describe('the tarball', () => {
  it('is named by its version and carries no source, only what runs and its licences', async () => {
    expect(path.basename(tarball)).toBe(`holdfast-${version}.tgz`);
    const { stdout } = await runProcess('tar', ['--list', '--file', tarball]);
    const files = stdout.trim().split('\n');
    const others = files.filter((file) => !/^package\/lib\/[\w-]+\.js$/.test(file)).toSorted();
    expect(others).toEqual(
      ['LICENSE', 'README.md', 'THIRD-PARTY-NOTICES', 'package.json'].map((file) => `package/${file}`),
    );
  });

  it('serves and transfers when it is installed in a clean folder, and runs by npx', async () => {
    const folder = work.join('local');
    await mkdir(folder);
    await npm(['install', tarball], folder);
    const { stdout } = await npm(['exec', '--no', '--', 'holdfast', '--version'], folder);
    expect(stdout.trim()).toBe(version);
    const installed = npmInstalled(path.join(folder, 'node_modules/.bin/holdfast'));
    expect(await serveAndTransfer('local', installed)).toEqual({ code: 0, signal: null });
  });

  it('runs when it is installed globally', async () => {
    const prefix = work.join('global');
    await npm(['install', '--global', '--prefix', prefix, tarball], work.path);
    const { stdout } = await run(npmInstalled(path.join(prefix, 'bin/holdfast')), ['--version']);
    expect(stdout.trim()).toBe(version);
  });
});

describe('the single executable', () => {
  it('says its version and its help without Node, without a home and without an environment', async () => {
    const bare: Installed = { command: [executable], env: { HOLDFAST_CACHE_DIR: work.join('bare-cache') } };
    expect((await run(bare, ['--version'])).stdout.trim()).toBe(version);
    expect((await run(bare, ['--help'])).stdout).toMatch(/^\s+serve\b.*run a hub/m);
  });

  it('serves and transfers', async () => {
    const installed = { command: [executable], env: { HOME: await emptyHome('single') } };
    expect(await serveAndTransfer('single', installed)).toEqual({ code: 0, signal: null });
  });

  it('writes a carried file anew that somebody has changed', async () => {
    const home = await emptyHome('repair');
    const single = { command: [executable], env: { HOME: home } };
    await run(single, ['--version']);
    const main = await unpackedFile(home, 'node_modules/holdfast/lib/main.js');
    const original = await readFile(main, 'utf8');
    await appendFile(main, '\nprocess.stdout.write("changed");\n');

    expect((await run(single, ['--version'])).stdout.trim()).toBe(version);
    expect(await readFile(main, 'utf8')).toBe(original);
  });

  it('unpacks into a folder of its own user and refuses one that others may enter', async () => {
    const home = await emptyHome('mode');
    const single = { command: [executable], env: { HOME: home } };
    await run(single, ['--version']);
    const cache = path.join(home, '.cache/holdfast');
    expect((await stat(cache)).mode & 0o777).toBe(0o700);

    await chmod(cache, 0o755);
    const refused = await run(single, ['--version'], [1]);
    expect(refused.stderr).toContain(`${cache} must be a folder that belongs to you`);
    expect(refused.stderr).not.toContain('    at ');
  });

  it('runs the programs of the hub that hold a mount, which it carries', async () => {
    const home = await emptyHome('holder');
    await run({ command: [executable], env: { HOME: home } }, ['--version']);
    const program = await unpackedFile(home, 'node_modules/holdfast/lib/storage-nfs-kernel-holder-main.js');
    // As the hub starts it: another environment, and a channel on descriptor 3 whose end is the end of the program.
    const child = spawn(executable, ['--no-warnings', program], {
      env: {},
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    const said: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (part: Buffer) => said.push(part));
    child.stdio[3]?.destroy();
    await once(child, 'close');
    // It leaves by a signal to itself when its mount is gone; whatever went wrong before would have been said.
    expect({ by: child.signalCode, said: Buffer.concat(said).toString() }).toEqual({
      by: 'SIGKILL',
      said: '',
    });
  });
});

/**
 * The whole way of a file with one installation: chunks, batches, verification, and their threads.
 * @returns how the hub ended when it was asked to
 */
async function serveAndTransfer(name: string, installed: Installed): Promise<ProcessExit> {
  const data = work.join(`${name}-data`);
  const [program = '', ...args] = commandLine(installed, ['serve', '--data', data, '--port', '0'], {
    HOLDFAST_ADMIN_KEY: adminKey,
  });
  await using hub = await startProcess(program, args);
  const [, url = ''] = await hub.waitForOutput(/"event":"ready","url":"([^"]+)"/, { timeoutMs: 60_000 });
  const user: Installed = {
    ...installed,
    env: { ...installed.env, HOLDFAST_URL: url, HOLDFAST_API_KEY: adminKey },
  };
  const fetched = work.join(`${name}-fetched`);
  await mkdir(fetched);

  await run(user, ['put', work.join('large.bin'), 'default:/images/large.bin']);
  await run(user, ['put', '-r', '--host', 'builder', work.join('tree')]);
  await run(user, ['get', 'default:/images/large.bin', `${fetched}/`]);
  await run(user, ['get', '-r', `hub:/builder${work.join('tree')}`, `${fetched}/`]);
  await run(user, ['verify', 'default:/']);
  await run(user, ['verify', 'hub:/builder']);

  await runProcess('cmp', [work.join('large.bin'), path.join(fetched, 'large.bin')]);
  await runProcess('diff', ['-r', work.join('tree'), path.join(fetched, 'tree')]);
  hub.kill('SIGTERM');
  return await hub.exited;
}

function run(installed: Installed, args: readonly string[], okCodes = [0]): Promise<RunResult> {
  const [program = '', ...all] = commandLine(installed, args);
  return runProcess(program, all, { cwd: work.path, okCodes, timeoutMs: 60_000 });
}

/** The command with no more of an environment than it is given: a PATH without Node, unless it names one. */
function commandLine({ command, env }: Installed, args: readonly string[], more = {}): string[] {
  const variables = { PATH: work.join('nothing'), HOLDFAST_STATE_DIR: work.join('state'), ...env, ...more };
  return [
    'env',
    '-i',
    ...Object.entries(variables).map(([key, value]) => `${key}=${value}`),
    ...command,
    ...args,
  ];
}

function npmInstalled(bin: string): Installed {
  return { command: [bin], env: { HOME: work.path, PATH: `${nodeFolder}:/usr/bin:/bin` } };
}

function npm(args: readonly string[], cwd: string): Promise<RunResult> {
  // What a surrounding `npm test` says of its own project is not for this one.
  const inherited = Object.keys(process.env).filter((key) =>
    /^npm_(package|lifecycle|config_(local_|global_)?prefix)/.test(key),
  );
  const env = {
    ...Object.fromEntries(inherited.map((key) => [key, undefined])),
    PATH: `${nodeFolder}:${process.env['PATH'] ?? ''}`,
  };
  return runProcess('npm', [...args, '--prefer-offline', '--no-audit', '--no-fund'], {
    cwd,
    env,
    timeoutMs: 120_000,
  });
}

async function emptyHome(name: string): Promise<string> {
  const home = work.join(`${name}-home`);
  await mkdir(home);
  return home;
}

async function unpackedFile(home: string, file: string): Promise<string> {
  const cache = path.join(home, '.cache/holdfast');
  const [id = ''] = await readdir(cache);
  return path.join(cache, id, file);
}
