import { mkdir, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
import { makeCli } from '../testing/cli.ts';
import type { CliUnderTest } from '../testing/cli.ts';
import { runOnTerminal } from './testing/on-terminal.ts';

// Each test starts many processes: on a busy machine that takes its time.
vi.setConfig({ testTimeout: 120_000 });

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

async function folder(name: string): Promise<string> {
  const path = join(cli.home, name);
  await mkdir(path);
  return path;
}

test('a backend is added, tested, changed and forgotten; its files stay', async () => {
  const root = await folder('shelf');
  const config = JSON.stringify({ root });
  const { backend } = await cli.json('backendsAdd', [
    'backends',
    'add',
    'shelf',
    'local',
    '--config',
    config,
  ]);
  expect(backend).toMatchObject({ name: 'shelf', type: 'local', config: { root } });
  expect((await cli.run(['backends', 'add', 'shelf', 'local', '--set', `root=${root}`])).code).toBe(4);

  const report = await cli.json('backendsTest', ['backends', 'test', 'shelf']);
  expect(report.checks.length).toBeGreaterThan(1);
  expect(report.success).toBe(true);
  expect(
    (await cli.json('backendsEdit', ['backends', 'edit', 'shelf', '--name', 'books'])).backend.name,
  ).toBe('books');
  const { backends } = await cli.json('backendsList', ['backends', 'list']);
  expect(backends.map(({ name }) => name)).toEqual(['books', 'default']);

  await writeFile(join(root, 'kept'), 'kept');
  expect((await cli.run(['backends', 'rm', 'books'])).code).toBe(2);
  expect(await cli.json('backendsRm', ['backends', 'rm', backend.id, '--yes'])).toMatchObject({
    name: 'books',
  });
  const gone = await cli.run(['backends', 'test', 'books']);
  expect(gone.code).toBe(3);
  expect(gone.stderr).toContain('There are: default');
});

test('a check that fails is named with what to do, and ends with 6', async () => {
  const root = await folder('lost');
  expect((await cli.run(['backends', 'add', 'lost', 'local', '--set', `root=${root}`])).code).toBe(0);
  await rename(root, `${root}.away`);
  const failed = await cli.run(['backends', 'test', 'lost']);
  expect(failed.code).toBe(6);
  expect(failed.stdout).toMatch(/\tfailed\t.*lost/);
  const quiet = await cli.run(['backends', 'test', 'lost', '--quiet']);
  expect(quiet).toMatchObject({ code: 6, stdout: '' });
  expect(quiet.stderr).toContain('lost');
});

test('a backend in use is forgotten only by --force', async () => {
  expect((await cli.run(['backends', 'rm', 'default', '--yes'])).code).toBe(4);
});

test('what cannot be asked or does not belong is 2 and names the option', async () => {
  const bare = await cli.run(['backends', 'add']);
  expect(bare.code).toBe(2);
  expect(bare.stderr).toContain('--set');
  expect((await cli.run(['backends', 'add', 'x', 'local'])).code).toBe(2);
  expect((await cli.run(['backends', 'add', 'x', 'local', '--set', 'path=/srv'])).stderr).toContain('root');
  expect((await cli.run(['backends', 'add', 'x', 'local', '--config', '[]'])).code).toBe(2);
  expect((await cli.run(['backends', 'add', 'x', 'local', '--set', 'root=srv'])).code).toBe(4);
  expect((await cli.run(['backends', 'edit', 'default'])).code).toBe(2);
});

test('on a terminal add asks for all of it', async () => {
  const root = await folder('asked');
  const { code, screen } = await runOnTerminal(
    hub,
    cli.home,
    ['backends', 'add'],
    [
      ['Name of the backend:', 'asked\r'],
      ['Where are the files?', '\r'],
      ['root (', 'srv\r'],
      ['must be an absolute path', `${'\u007F'.repeat(3)}${root}\r`],
    ],
  );
  expect(screen).toContain('asked (local) is online');
  expect(code).toBe(0);
});

test('a secret is asked for without showing it, and reaches the server', async () => {
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response
      .setHeader('content-type', 'text/html')
      .end('<html><body><a href="a.img">a.img</a></body></html>');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const { screen } = await runOnTerminal(
    hub,
    cli.home,
    ['backends', 'add', 'web', 'http'],
    [
      ['base_url', `http://127.0.0.1:${port}/\r`],
      ['auth_method', '\u001B[B\r'],
      ['username', 'reader\r'],
      ['password (', 'open sesame\r'],
      ['writable', '\r'],
      ['Change what has a default', '\r'],
    ],
  );
  server.close();
  expect(screen).not.toContain('sesame');
  expect(seen).toContain(`Basic ${btoa('reader:open sesame')}`);
});
