import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
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

/** Every file by the very bytes of its name: content, and with `facts` time and permission bits. */
async function treeOf(root: string, facts = false): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const walk = async (folder: Buffer): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true, encoding: 'buffer' })) {
      const path = Buffer.concat([folder, Buffer.from('/'), entry.name]);
      if (entry.isDirectory()) await walk(path);
      else {
        const sum = createHash('sha256')
          .update(await readFile(path))
          .digest('hex');
        const stats = await lstat(path);
        const told = facts ? ` ${Math.round(stats.mtimeMs / 10)} ${stats.mode.toString(8)}` : '';
        found.set(path.subarray(root.length).toString('hex'), sum + told);
      }
    }
  };
  await walk(Buffer.from(root));
  return found;
}

async function make(root: string, files: Record<string, string | Uint8Array>): Promise<string> {
  const folder = join(cli.home, root);
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, bytes);
  }
  return folder;
}

const tame = {
  '-rf': 'dash',
  '--help': 'dashes',
  'it\'s "quoted"': 'quotes',
  'hub:/x/y': 'like a path of the hub',
  'default:': 'like a backend',
  'caf\u00e9': 'NFC',
  'cafe\u0301': 'NFD',
  '\u{1F600} grin': 'beyond the BMP',
  '\uFF21 wide': 'after the surrogates',
  'a-b': '1',
  'a/c': '2',
  'a/b/d': '3',
  'a b/ e ': '4',
  '...': 'dots',
  '*?[x]': 'wildcards',
  '%2F$HOME`': 'escapes',
  empty: '',
  'large.bin': Buffer.alloc(9 * 1024 * 1024 + 3, 'holdfast'),
  'middle.bin': Buffer.alloc(2 * 1024 * 1024 + 1, 'm'),
};
const wild = {
  'new\nline': 'n',
  'tab\tname': 't',
  'back\\slash': 'b',
  '\u0001\u007f': 'c',
  '.holdfast/x': 'r',
};

test.each([
  ['hub:/desk', { ...tame, ...wild }],
  ['hub:/desk/deep/down', { ...tame, ...wild }],
  ['default:/', tame],
  ['default:/deep/down', tame],
])(
  'a tree with hostile names goes to %s and back byte by byte; again nothing moves',
  async (remote, files) => {
    const name = `tree-${remote.replaceAll(/\W/g, '-')}`;
    const source = await make(name, files);
    await chmod(join(source, 'a-b'), 0o640);
    await utimes(join(source, 'a-b'), 1_700_000_000.123, 1_700_000_000.123);
    const isHub = remote.startsWith('hub:');
    const count = Object.keys(files).length;

    const sent = await cli.json('sync', ['sync', source, remote]);
    expect(sent).toMatchObject({ transferred: count, removed: 0, failed: [], unchanged: 0 });
    expect(await cli.json('sync', ['sync', source, remote])).toMatchObject({
      transferred: 0,
      touched: 0,
      unchanged: count,
    });
    const back = join(cli.home, `${name}-back`);
    expect(await cli.json('sync', ['sync', remote, back])).toMatchObject({ transferred: count, failed: [] });
    expect(await treeOf(back, isHub)).toEqual(await treeOf(source, isHub));
    expect(await cli.json('sync', ['sync', remote, back])).toMatchObject({
      transferred: 0,
      touched: 0,
      unchanged: count,
    });
    // Without any memory the sums must agree as well.
    const forgetful = { env: { HOLDFAST_STATE_DIR: join(cli.home, `${name}-state`) } };
    expect(await cli.json('sync', ['sync', remote, back, '--checksum'], forgetful)).toMatchObject({
      transferred: 0,
      unchanged: count,
    });
    await rm(source, { recursive: true });
    await rm(back, { recursive: true });
  },
);

test('names that a backend refuses are told one by one, the others go, and it ends with 1', async () => {
  const source = await make('refused', { ...wild, good: 'g' });
  execFileSync('sh', ['-c', String.raw`printf x > "$1/$(printf 'bad\377name')"`, 'sh', source]);
  const told = await cli.json('sync', ['sync', source, 'default:/refused'], { code: 1 });
  // ".holdfast" is reserved at the top of a backend only.
  expect(told).toMatchObject({ transferred: 2, failed_count: 5 });
  expect(told.failed.map(({ path }) => path).toSorted()).toEqual(
    ['bad\\xffname', 'new\nline', 'tab\tname', 'back\\slash', '\u0001\u007f'].toSorted(),
  );
  const again = await cli.run(['sync', source, 'default:/refused']);
  expect(again.code).toBe(1);
  expect(again.stderr).toContain(String.raw`new\x0aline`);
});

test('a changed file is sent again, also when its size and time are the same by --checksum', async () => {
  const source = await make('changed', { one: 'aaaa', two: 'bbbb' });
  await utimes(join(source, 'one'), 1_600_000_000, 1_600_000_000);
  await cli.json('sync', ['sync', source, 'hub:/changed']);
  await writeFile(join(source, 'one'), 'AAAA');
  await utimes(join(source, 'one'), 1_600_000_000, 1_600_000_000);
  expect(await cli.json('sync', ['sync', source, 'hub:/changed'])).toMatchObject({ transferred: 0 });
  expect(await cli.json('sync', ['sync', source, 'hub:/changed', '--checksum'])).toMatchObject({
    transferred: 1,
  });
  await chmod(join(source, 'two'), 0o600);
  expect(await cli.json('sync', ['sync', source, 'hub:/changed'])).toMatchObject({
    transferred: 0,
    touched: 1,
  });
});

test.each(['hub:/gone', 'default:/gone'])(
  '--delete removes from %s what the source lost, and the emptied folders',
  async (remote) => {
    const source = await make('gone', { a: '1', 'x/y/b': '2', c: '3', d: '4' });
    await cli.json('sync', ['sync', source, remote]);
    await rm(join(source, 'x'), { recursive: true });
    const dry = await cli.json('sync', ['sync', '-n', source, remote, '--delete']);
    expect(dry.actions).toEqual([{ action: 'remove', path: 'x/y/b', bytes: 1 }]);
    expect((await cli.run(['sync', source, remote, '--delete'])).code).toBe(2);
    expect(await cli.json('sync', ['sync', source, remote, '--delete', '--yes'])).toMatchObject({
      removed: 1,
    });
    const back = join(cli.home, 'gone-back');
    await make('gone-back', { 'surplus/z': 'z', a: '1' });
    await cli.json('sync', ['sync', remote, back, '--delete', '--yes']);
    expect((await readdir(back)).toSorted()).toEqual(['a', 'c', 'd']);
    if (remote.startsWith('default')) {
      expect((await cli.json('ls', ['ls', '-R', remote])).entries).toHaveLength(3);
    }
    await rm(back, { recursive: true });
    await rm(source, { recursive: true });
  },
);

test('the guard refuses to empty a destination, or to remove more than half or more than --max-delete', async () => {
  const source = await make('guard', { a: '1', b: '2', c: '3' });
  await cli.json('sync', ['sync', source, 'default:/guard']);
  await rm(join(source, 'a'));
  const tooMany = await cli.run(['sync', source, 'default:/guard', '--delete', '--yes', '--max-delete', '0']);
  expect(tooMany.code).toBe(4);
  await rm(join(source, 'b'));
  const half = await cli.run(['sync', source, 'default:/guard', '--delete', '--yes']);
  expect(half).toMatchObject({ code: 4 });
  expect(half.stderr).toContain('more than half');
  await rm(join(source, 'c'));
  const none = await cli.run(['sync', source, 'default:/guard', '--delete', '--yes', '--max-delete', '9']);
  expect(none).toMatchObject({ code: 4 });
  expect(none.stderr).toContain('no files');
  expect((await cli.json('ls', ['ls', 'default:/guard'])).entries).toHaveLength(3);
  expect((await cli.run(['sync', join(source, 'nowhere'), 'default:/guard', '--delete', '--yes'])).code).toBe(
    3,
  );
  expect(
    await cli.json('sync', ['sync', source, 'default:/guard', '--delete', '--yes', '--force']),
  ).toMatchObject({
    removed: 3,
  });
});

test('symlinks and pipes are skipped and said; what stands there on the other side is not surplus', async () => {
  const source = await make('links', { real: 'r', more: 'm' });
  await symlink('/etc', join(source, 'etc'));
  await symlink('real', join(source, 'link'));
  execFileSync('mkfifo', [join(source, 'pipe')]);
  const other = await make('links-other', { 'etc/passwd': 'p', link: 'l' });
  await cli.json('sync', ['sync', other, 'default:/links']);
  const ran = await cli.run(['sync', source, 'default:/links', '--delete', '--yes']);
  expect(ran.code).toBe(0);
  for (const name of ['etc', 'link', 'pipe']) expect(ran.stderr).toContain(`skipped: ${name}`);
  expect(
    (await cli.json('ls', ['ls', '-R', 'default:/links'])).entries.filter(({ type }) => type === 'file'),
  ).toHaveLength(4);
});

test('nothing is fetched through a symlink of the destination', async () => {
  const source = await make('through', { 'out/file': 'f', good: 'g' });
  await cli.json('sync', ['sync', source, 'default:/through']);
  const outside = await make('outside', {});
  const back = await make('through-back', {});
  await symlink(outside, join(back, 'out'));
  const told = await cli.json('sync', ['sync', 'default:/through', back], { code: 1 });
  expect(told).toMatchObject({ transferred: 1, failed: [{ path: 'out/file', code: 'not_a_directory' }] });
  expect(await readdir(outside)).toEqual([]);
});

test('patterns of --exclude and .holdfastignore hold on both sides, nested ones too', async () => {
  const source = await make('ignored', {
    '.holdfastignore': '*.tmp\nbuild/\n',
    'a.tmp': 'x',
    'keep/a.tmp': 'k',
    'keep/.holdfastignore': '!a.tmp\n',
    'build/out': 'o',
    'src/secret': 's',
    'src/open': 'p',
  });
  const far = await make('ignored-far', { 'old.tmp': 'o', 'build/far': 'f', 'src/secret': 'far' });
  await cli.json('sync', ['sync', far, 'default:/ignored']);
  await cli.json('sync', ['sync', source, 'default:/ignored', '--exclude', 'secret', '--delete', '--yes']);
  const { entries } = await cli.json('ls', ['ls', '-R', 'default:/ignored']);
  expect(
    entries
      .filter(({ type }) => type === 'file')
      .map(({ path }) => path.slice(17))
      .toSorted(),
  ).toEqual([
    '.holdfastignore',
    'build/far',
    'keep/.holdfastignore',
    'keep/a.tmp',
    'old.tmp',
    'src/open',
    'src/secret',
  ]);
});

test('a folder takes the place of a file and a file that of a folder, with --delete', async () => {
  const before = await make('swap', { 'a/b': '1', c: '2', d: '3', e: '4' });
  await cli.json('sync', ['sync', before, 'default:/swap']);
  const back = join(cli.home, 'swap-back');
  await cli.json('sync', ['sync', 'default:/swap', back]);
  await rm(before, { recursive: true });
  await make('swap', { a: 'file', 'c/x': 'folder', d: '3', e: '4' });
  expect((await cli.run(['sync', before, 'default:/swap'])).code).toBe(1);
  await cli.json('sync', ['sync', before, 'default:/swap', '--delete', '--yes']);
  await cli.json('sync', ['sync', 'default:/swap', back, '--delete', '--yes']);
  expect(await treeOf(back)).toEqual(await treeOf(before));
});

test('only one side may be local, and hub:/ needs a machine', async () => {
  expect((await cli.run(['sync', 'a', 'b'])).code).toBe(2);
  expect((await cli.run(['sync', 'default:/a', 'default:/b'])).code).toBe(2);
  expect((await cli.run(['sync', cli.home, 'hub:/'])).code).toBe(2);
  expect((await cli.run(['sync', 'hub:/nobody', 'x'])).code).toBe(3);
  expect((await cli.run(['sync', 'default:/nowhere', 'x'])).code).toBe(3);
});
