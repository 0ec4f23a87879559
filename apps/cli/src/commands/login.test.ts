import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
import { makeCli } from '../testing/cli.ts';

let hub: HubUnderTest;

beforeAll(async () => {
  hub = await startHub();
});

afterAll(async () => {
  await hub?.[Symbol.asyncDispose]();
});

test('login keeps a checked key in a file of its own, named profiles are used, logout forgets', async () => {
  await using cli = await makeCli(null);
  const login = ['login', '--url', `${hub.url}/`, '--key-file', '-'];
  expect((await cli.run(['whoami'])).code).toBe(4);
  expect(await cli.json('login', login, { input: `${hub.adminKey}\n` })).toMatchObject({ url: hub.url });
  const file = join(cli.home, 'config/profiles.json');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await cli.run(['login', 'lab', ...login.slice(1)], { input: hub.adminKey })).stdout).not.toContain(
    hub.adminKey,
  );
  expect(await cli.json('whoami', ['whoami'])).toMatchObject({ profile: 'lab' });
  expect(await cli.json('whoami', ['--profile', 'default', 'whoami'])).toMatchObject({ profile: 'default' });
  expect((await cli.run(['--profile', 'other', 'whoami'])).code).toBe(3);
  expect(await cli.json('logout', ['logout'])).toEqual({ removed: ['lab'] });
  expect(await cli.json('whoami', ['whoami'])).toMatchObject({ profile: 'default' });
});

test('a wrong key is refused and nothing is kept', async () => {
  await using cli = await makeCli(null);
  const wrong = await cli.run(['login', '--url', hub.url, '--key-file', '-'], { input: 'x'.repeat(40) });
  expect(wrong.code).toBe(4);
  await expect(readFile(join(cli.home, 'config/profiles.json'))).rejects.toThrow('ENOENT');
});

test('a profile that others can read is refused, and so is a key for another hub', async () => {
  await using cli = await makeCli(null);
  await cli.run(['login', '--url', hub.url, '--key-file', '-'], { input: hub.adminKey });
  const elsewhere = await cli.run(['--url', 'http://127.0.0.1:1', 'whoami']);
  expect(elsewhere).toMatchObject({ code: 4 });
  const file = join(cli.home, 'config/profiles.json');
  await chmod(file, 0o644);
  const open = await cli.run(['whoami']);
  expect(open.code).toBe(4);
  expect(open.stderr).toContain(`chmod 600 ${file}`);
  await chmod(file, 0o600);
  await writeFile(file, '{');
  expect((await cli.run(['whoami'])).stderr).toContain('damaged');
});

test('serve runs a hub in the same process, and SIGTERM ends it', async () => {
  await using cli = await makeCli(null);
  await using served = await cli.start(['serve', '--port', '0', '--data', join(cli.home, 'data')]);
  const [, url = ''] = await served.waitForOutput(/"event":"ready","url":"([^"]+)"/, { timeoutMs: 60_000 });
  expect((await fetch(new URL('/healthz', url))).status).toBe(200);
  served.kill('SIGTERM');
  expect((await served.exited).code).toBe(0);
});
