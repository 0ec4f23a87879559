import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
import { bootBackend } from '@holdfast/test-support/hub-storage';
import { makeCli } from '../testing/cli.ts';
import type { CliUnderTest } from '../testing/cli.ts';
import type { Check } from './check.ts';
import { judgeMode, judgeNode, judgeSkew, judgeSpace, judgeVersions } from './judgements.ts';

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

/** How full the disk of the machine is that runs the tests is none of their business. */
function failuresOf(checks: readonly Check[]): Check[] {
  return checks.filter(({ name, status }) => status === 'fail' && name !== 'disk space');
}

const away = { HOLDFAST_URL: undefined, HOLDFAST_API_KEY: undefined };
const freePort = { HOLDFAST_PORT: '0' };

test('a sound hub passes all checks', async () => {
  const env = { ...freePort, HOLDFAST_DATA: hub.dataDir };
  const { checks, url, status } = await cli.json('doctor', ['doctor'], { env });
  expect(url).toBe(hub.url);
  expect(failuresOf(checks)).toEqual([]);
  expect(checks.some((check) => check.status === 'fail')).toBe(status === 'fail');
  const names = checks.map(({ name }) => name);
  for (const name of [
    'node',
    'credentials',
    'hub',
    'clock',
    'key',
    'version',
    'database',
    'backend default',
  ]) {
    expect(names).toContain(name);
  }
  for (const name of [
    'configuration',
    'data directory',
    'secret key',
    'local database',
    'disk space',
    'HTTP port',
  ]) {
    expect(names).toContain(name);
  }
});

test('a backend that is gone fails with what to run, by exit code 1', async () => {
  const { root } = await bootBackend(hub);
  await rename(root, `${root}.away`);
  try {
    const { checks } = await cli.json('doctor', ['doctor'], { env: freePort, code: 1 });
    expect(failuresOf(checks)).toMatchObject([
      { name: 'backend default', fix: 'holdfast backends test default' },
    ]);
    expect((await cli.run(['doctor', '--quiet'], { env: freePort })).stderr).toContain('backend default');
  } finally {
    await rename(`${root}.away`, root);
  }
});

test('a wrong key and a hub that does not answer are told apart', async () => {
  const wrong = await cli.json('doctor', ['doctor'], {
    env: { ...freePort, HOLDFAST_API_KEY: 'x'.repeat(40) },
    code: 1,
  });
  expect(wrong.checks).toContainEqual(expect.objectContaining({ name: 'hub', status: 'ok' }));
  expect(wrong.checks).toContainEqual(expect.objectContaining({ name: 'key', status: 'fail' }));
  const dead = await cli.json('doctor', ['doctor'], {
    env: { ...freePort, HOLDFAST_URL: 'http://127.0.0.1:1' },
    code: 1,
  });
  expect(dead.checks).toContainEqual(expect.objectContaining({ name: 'hub', status: 'fail' }));
});

test('without a hub it checks this machine, and what is configured wrongly', async () => {
  const fresh = await cli.json('doctor', ['doctor'], { env: { ...away, ...freePort } });
  expect(fresh).toMatchObject({ url: null, status: 'warn' });
  const bad = await cli.json('doctor', ['doctor'], { env: { ...away, HOLDFAST_PORT: 'eighty' }, code: 1 });
  const { fix, message } = bad.checks.find(({ name }) => name === 'configuration') ?? {};
  expect(message).toContain('HOLDFAST_PORT');
  expect(fix).not.toBeNull();
});

test('open permissions, a damaged database and a taken port are found', async () => {
  const data = join(cli.home, 'open');
  await mkdir(data);
  await chmod(data, 0o777);
  await writeFile(join(data, 'secret.key'), 'k'.repeat(40), { mode: 0o644 });
  await writeFile(join(data, 'holdfast.db'), 'not a database at all, '.repeat(100));
  await using server = createServer();
  const port = await new Promise<number>((resolve, reject) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (typeof address === 'object' && address !== null) resolve(address.port);
      else reject(new Error('no port'));
    });
  });
  server.on('connection', (socket) => socket.destroy());
  const env = { ...away, HOLDFAST_DATA: data, HOLDFAST_PORT: `${port}` };
  const { checks } = await cli.json('doctor', ['doctor'], { env, code: 1 });
  const statusOf = (name: string): unknown => checks.find((check) => check.name === name)?.status;
  expect(statusOf('data directory')).toBe('fail');
  expect(statusOf('secret key')).toBe('fail');
  expect(statusOf('local database')).toBe('fail');
  expect(statusOf('HTTP port')).toBe('warn');
});

test('profiles that others can read are a failure', async () => {
  await mkdir(join(cli.home, 'leaky'));
  await writeFile(join(cli.home, 'leaky', 'profiles.json'), '{}', { mode: 0o644 });
  const env = { ...away, ...freePort, HOLDFAST_CONFIG_DIR: join(cli.home, 'leaky') };
  const { checks } = await cli.json('doctor', ['doctor'], { env, code: 1 });
  expect(checks.find(({ name }) => name === 'credentials')?.message).toContain('chmod 600');
});

test('what is judged by numbers', () => {
  const gib = 1024 ** 3;
  expect(judgeSpace('x', gib - 1, gib * 2).status).toBe('fail');
  expect(judgeSpace('x', gib * 4, gib * 100).status).toBe('warn');
  expect(judgeSpace('x', gib * 50, gib * 100).status).toBe('ok');
  expect([0, 4, -5, 299, -300].map((seconds) => judgeSkew(seconds).status)).toEqual([
    'ok',
    'ok',
    'warn',
    'warn',
    'fail',
  ]);
  expect(judgeSkew(-60).message).toContain('60 s behind');
  expect(judgeNode('22.1.0').status).toBe('fail');
  expect(judgeNode('24.0.0').status).toBe('ok');
  expect(judgeVersions('1.0.0', '1.1.0').status).toBe('warn');
  expect(judgeMode('x', '/x', 0o40755, true).status).toBe('warn');
  expect(judgeMode('x', '/x', 0o100640, false)).toMatchObject({ status: 'fail', fix: 'chmod 600 /x' });
});
