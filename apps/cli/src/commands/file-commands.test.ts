import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { uploadSmallFiles } from '@holdfast/client/batch';
import type { SmallFile } from '@holdfast/client/batch';
import { createClient } from '@holdfast/client/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
import { bootBackend, createLocalBackend } from '@holdfast/test-support/hub-storage';
import { makeCli } from '../testing/cli.ts';
import type { CliUnderTest } from '../testing/cli.ts';

let hub: HubUnderTest;
let cli: CliUnderTest;

beforeAll(async () => {
  hub = await startHub();
  cli = await makeCli(hub);
});

afterAll(async () => {
  await cli?.[Symbol.asyncDispose]();
  await hub?.[Symbol.asyncDispose]();
});

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function local(name: string, bytes: Uint8Array | string): Promise<string> {
  const path = join(cli.home, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, bytes);
  return path;
}

test('a small and a large file go to a backend and come back as they were', async () => {
  for (const [name, size] of [
    ['small.bin', 1000],
    ['large.bin', 20 * 1024 * 1024],
    ['empty.bin', 0],
  ] as const) {
    const bytes = randomBytes(size);
    await local(name, bytes);
    const sent = await cli.json('put', ['put', name, 'default:/there/']);
    expect(sent.files).toMatchObject([
      {
        destination: `default:/there/${name}`,
        bytes: size,
        sha256: sha256(bytes),
        status: 'stored',
        verified: true,
      },
    ]);
    const got = await cli.json('get', ['get', `default:/there/${name}`, `back/`]);
    expect(got.files).toMatchObject([{ sha256: sha256(bytes), verified: true }]);
    expect((await readFile(join(cli.home, 'back', name))).equals(bytes)).toBe(true);
  }
});

test('put refuses to replace a file with 4, unless --overwrite', async () => {
  await local('twice.txt', 'one');
  expect((await cli.run(['put', 'twice.txt', 'default:/twice.txt'])).code).toBe(0);
  await local('twice.txt', 'two');
  expect((await cli.run(['put', 'twice.txt', 'default:/twice.txt'])).code).toBe(4);
  expect((await cli.run(['put', '-f', 'twice.txt', 'default:/twice.txt'])).code).toBe(0);
  expect(await cli.run(['cat', 'default:/twice.txt'])).toMatchObject({ code: 0, stdout: 'two' });
});

test('a folder goes to hub:/ in batches and comes back with times and permission bits', async () => {
  await local('tree/a.txt', 'a');
  await local('tree/deep/b.sh', '#!/bin/sh\n');
  await chmod(join(cli.home, 'tree/deep/b.sh'), 0o750);
  const large = randomBytes(3 * 1024 * 1024);
  await local('tree/large.bin', large);
  const sent = await cli.json('put', ['put', '-r', '--host', 'desk', 'tree']);
  expect(sent.files.map(({ status }) => status)).toEqual(['stored', 'stored', 'stored']);

  const got = await cli.json('get', ['get', '-r', `hub:/desk${cli.home}/tree`, 'restored']);
  expect(got.files).toHaveLength(3);
  const script = await stat(join(cli.home, 'restored/deep/b.sh'));
  expect(script.mode & 0o7777).toBe(0o750);
  const original = await stat(join(cli.home, 'tree/deep/b.sh'));
  // Times travel in whole milliseconds, rounded.
  expect(Math.abs(script.mtimeMs - original.mtimeMs)).toBeLessThan(1);
  expect((await readFile(join(cli.home, 'restored/large.bin'))).equals(large)).toBe(true);

  const hosts = await cli.run(['ls', 'hub:/']);
  expect(hosts.stdout).toContain('hub:/desk/\n');
  const children = await cli.json('ls', ['ls', `hub:/desk${cli.home}/tree`]);
  expect(children.entries.map(({ path, type }) => [path.slice(path.lastIndexOf('/') + 1), type])).toEqual([
    ['a.txt', 'file'],
    ['deep', 'directory'],
    ['large.bin', 'file'],
  ]);
  expect(await cli.json('stat', ['stat', `hub:/desk${cli.home}/tree/a.txt`])).toMatchObject({
    files: [{ kind: 'host_file', file: { version: 1, sha256: sha256(Buffer.from('a')) } }],
  });
});

test('standard input is sent to a path that names it', async () => {
  expect((await cli.run(['put', '-', 'default:/piped.txt'], { input: 'from a pipe' })).code).toBe(0);
  expect((await cli.run(['cat', 'default:/piped.txt'])).stdout).toBe('from a pipe');
  expect((await cli.run(['put', '-', 'default:/folder/'], { input: 'x' })).code).toBe(2);
});

test('ls, tree and stat show a backend; wildcards match what is there; one that matches nothing ends with 3', async () => {
  for (const name of ['one.iso', 'two.iso', 'three.txt']) {
    await local(name, name);
    await cli.run(['put', name, `default:/images/${name}`]);
  }
  expect((await cli.run(['ls', 'default:/images'])).stdout).toBe(
    'default:/images/one.iso\ndefault:/images/three.txt\ndefault:/images/two.iso\n',
  );
  const matched = await cli.json('ls', ['ls', 'default:/images/*.iso']);
  expect(matched.entries.map(({ path }) => path)).toEqual([
    'default:/images/one.iso',
    'default:/images/two.iso',
  ]);
  const deep = await cli.json('ls', ['ls', 'default:/**/t*.iso']);
  expect(deep.entries.map(({ path }) => path)).toEqual(['default:/images/two.iso']);
  expect((await cli.run(['ls', 'default:/images/*.img'])).code).toBe(3);
  expect((await cli.run(['ls', 'default:/nowhere'])).code).toBe(3);
  expect((await cli.run(['ls', 'nas:/'])).stderr).toContain('There are: default');

  const long = await cli.run(['ls', '-l', 'default:/images/one.iso']);
  expect(long.stdout).toMatch(/^7\t\d{4}-\S+Z\t[0-9a-f]{64}\tdefault:\/images\/one\.iso\n$/);
  const tree = await cli.json('tree', ['tree', 'default:/images']);
  expect(tree).toMatchObject({ files: 3, folders: 0 });
  const shown = await cli.json('stat', ['stat', 'default:/images/one.iso']);
  expect(shown.files).toMatchObject([
    { kind: 'backend', file: { checksum_sha256: sha256(Buffer.from('one.iso')) } },
  ]);
});

test('mkdir, mv and cp change a backend; cp within it leaves the source', async () => {
  expect((await cli.json('mkdir', ['mkdir', 'default:/made'])).made).toEqual(['default:/made']);
  expect((await cli.run(['mkdir', 'default:/made'])).code).toBe(4);
  expect((await cli.json('mkdir', ['mkdir', '-p', 'default:/made'])).existed).toEqual(['default:/made']);
  await local('move.txt', 'moved');
  await cli.run(['put', 'move.txt', 'default:/move.txt']);
  expect((await cli.run(['mv', '-n', 'default:/move.txt', 'default:/made/'])).code).toBe(0);
  expect(await cli.json('mv', ['mv', 'default:/move.txt', 'default:/made/'])).toMatchObject({
    destination: 'default:/made/move.txt',
  });
  expect((await cli.run(['stat', 'default:/move.txt'])).code).toBe(3);
  const copy = await cli.json('cp', ['cp', 'default:/made/move.txt', 'default:/copy.txt']);
  expect(copy.files).toMatchObject([{ status: 'stored', sha256: sha256(Buffer.from('moved')) }]);
  expect((await cli.run(['cat', 'default:/copy.txt', 'default:/made/move.txt'])).stdout).toBe('movedmoved');
});

test('cp brings a host file to a backend through this machine, verified', async () => {
  await local('sent.txt', 'sent by a machine');
  await cli.run(['put', '--host', 'desk', 'sent.txt']);
  const copy = await cli.json('cp', ['cp', `hub:/desk${cli.home}/sent.txt`, 'default:/from-desk/']);
  expect(copy.files).toMatchObject([{ destination: 'default:/from-desk/sent.txt', verified: true }]);
  expect((await cli.run(['cat', 'default:/from-desk/sent.txt'])).stdout).toBe('sent by a machine');
  expect((await readdir(join(cli.home, 'state'))).filter((name) => name.startsWith('copy-'))).toEqual([]);
});

test('cp between two backends goes through this machine, verified, and leaves no copy behind', async () => {
  await mkdir(join(cli.home, 'second'));
  await createLocalBackend(hub, 'second', join(cli.home, 'second'));
  const bytes = randomBytes(9 * 1024 * 1024);
  await local('between.bin', bytes);
  await cli.run(['put', 'between.bin', 'default:/between.bin']);
  const copy = await cli.json('cp', ['cp', 'default:/between.bin', 'second:/deep/']);
  expect(copy.files).toMatchObject([
    { destination: 'second:/deep/between.bin', bytes: bytes.length, sha256: sha256(bytes), verified: true },
  ]);
  expect((await readFile(join(cli.home, 'second/deep/between.bin'))).equals(bytes)).toBe(true);
  expect((await cli.run(['cp', 'default:/between.bin', 'second:/deep/'])).code).toBe(4);
  expect((await readdir(join(cli.home, 'state'))).filter((name) => name.startsWith('copy-'))).toEqual([]);
});

test('get takes names that begin with dots or a dash for what they are', async () => {
  const { root } = await bootBackend(hub);
  const names = ['-rf', '...', '..hidden'];
  // The hub does not offer names that are no paths of its API.
  const unnamed = ['new\nline.txt', '\u001B[31mred', 'a\\b'];
  await mkdir(join(root, 'hostile'));
  for (const name of [...names, ...unnamed]) await writeFile(join(root, 'hostile', name), name);
  const got = await cli.run(['get', '-r', 'default:/hostile', 'hostile']);
  expect(got.code).toBe(0);
  expect((await readdir(join(cli.home, 'hostile'))).toSorted()).toEqual(names);
  const shown = await cli.run(['ls', 'default:/hostile']);
  expect(shown.stdout).toBe(names.map((name) => `default:/hostile/${name}\n`).join(''));
});

test('get writes what a machine has sent from outside of its folders below the target only', async () => {
  const client = createClient({ url: hub.url, apiKey: hub.adminKey });
  const text = Buffer.from('climbing');
  const paths = [
    'C:\\..\\..\\..\\climbed.txt',
    '\\\\server\\share\\..\\plain.txt',
    '/new\nline\u001B[31m.txt',
  ];
  async function* files(): AsyncGenerator<SmallFile> {
    for (const filepath of paths)
      yield { hostname: 'climber', filepath, size: text.length, read: async () => text };
  }
  for await (const { status } of uploadSmallFiles(client, files())) expect(status).not.toBe('refused');
  const got = await cli.json('get', ['get', '-r', 'hub:/climber', 'in/side']);
  expect(got.files).toHaveLength(paths.length);
  for (const { destination } of got.files) expect(destination.startsWith(`${cli.home}/in/side/`)).toBe(true);
  expect(await readdir(join(cli.home, 'in/side'))).toContain('new\nline\u001B[31m.txt');
  const shown = await cli.run(['ls', 'hub:/climber/']);
  expect(shown.stdout).not.toContain('\u001B');
  expect(
    shown.stdout
      .trimEnd()
      .split('\n')
      .every((line) => line.startsWith('hub:/climber')),
  ).toBe(true);
  expect(await readdir(cli.home)).not.toContain('climbed.txt');
  expect(await readdir(join(cli.home, 'in'))).toEqual(['side']);
});

test('rm needs --yes where nobody can be asked, and --dry-run removes nothing', async () => {
  await local('gone.txt', 'x');
  await cli.run(['put', 'gone.txt', 'default:/gone.txt']);
  const refused = await cli.run(['rm', 'default:/gone.txt']);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('default:/gone.txt');
  expect(await cli.json('rm', ['rm', '-n', 'default:/gone.txt'])).toMatchObject({ dry_run: true });
  expect((await cli.run(['stat', 'default:/gone.txt'])).code).toBe(0);
  expect((await cli.json('rm', ['rm', '--yes', 'default:/gone.txt'])).removed).toEqual(['default:/gone.txt']);
  expect((await cli.run(['rm', '--yes', 'default:/gone.txt'])).code).toBe(3);
});

test('verify reads back what stands on a backend', async () => {
  await local('read-back.bin', randomBytes(4096));
  await cli.run(['put', 'read-back.bin', 'default:/verified/read-back.bin']);
  const whole = await cli.json('verify', ['verify', 'default:/verified']);
  expect(whole).toMatchObject({ checked: 1, bytes: 4096, drifted: [], failed: [] });
  expect((await cli.run(['verify', 'default:/nowhere'])).code).toBe(3);
});

test('verify finds a byte that changed on the disk under what a machine has sent, and ends with 5', async () => {
  const original = randomBytes(4096);
  const path = await local('drift.bin', original);
  await cli.run(['put', '--host', 'drifting', path]);
  expect(await cli.json('verify', ['verify', 'hub:/drifting'])).toMatchObject({ checked: 1, drifted: [] });
  const sum = sha256(original);
  const onDisk = join((await bootBackend(hub)).root, '.holdfast/vault', sum.slice(0, 2), sum);
  const bytes = await readFile(onDisk);
  bytes[7] = (bytes[7] ?? 0) ^ 1;
  await writeFile(onDisk, bytes);
  const found = await cli.json('verify', ['verify', 'hub:/drifting'], { code: 5 });
  expect(found.drifted).toEqual([
    { path: `hub:/drifting${path}`, expected: sum, actual: null, problem: 'mismatch' },
  ]);
});

test('find tells where bytes are, by sum or like a file here; nowhere ends with 3', async () => {
  const path = await local('known.txt', 'known bytes');
  await cli.run(['put', '--host', 'desk', path]);
  await cli.run(['put', path, 'default:/known.txt']);
  const found = await cli.json('find', ['find', '--like', path]);
  expect(found.files.map((file) => file.path).toSorted()).toEqual(['default:/known.txt', `hub:/desk${path}`]);
  expect((await cli.run(['find', '--sha256', '0'.repeat(64)])).code).toBe(3);
  expect((await cli.run(['find', '--sha256', 'abc'])).code).toBe(2);
});
