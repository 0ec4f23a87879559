import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
import { problem } from '@holdfast/contract/problem';
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

const unknownId = '01a1fe2c-0f2b-7c1d-9a55-1c4b5c9d2f10';

async function startUpload(filepath: string): Promise<void> {
  const body = {
    filepath,
    hostname: 'build-7',
    sha256: 'a'.repeat(64),
    file_size: 5,
    chunk_size: 5,
    total_chunks: 1,
  };
  const answer = await hub.api('/api/uploads/initiate', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.status).toBe(201);
}

test('settings are read and changed by name, a backend by its name too', async () => {
  const set = ['settings', 'set', 'file_serving_bandwidth_mbps=800', 'default_boot_backend_id=default'];
  const changed = await cli.json('settingsSet', [...set, 'anonymous_boot_networks=10.0.0.0/8,::1/128']);
  expect(changed).toMatchObject({
    file_serving_bandwidth_mbps: 800,
    anonymous_boot_networks: ['10.0.0.0/8', '::1/128'],
  });
  expect(changed.default_boot_backend_id).not.toBe('default');
  expect(await cli.run(['settings', 'get', 'file_serving_bandwidth_mbps'])).toEqual({
    code: 0,
    stdout: '800\n',
    stderr: '',
  });
  expect((await cli.json('settingsGet', ['settings', 'get'])).default_boot_backend_id).toBe(
    changed.default_boot_backend_id,
  );
  expect(await cli.run(['settings', 'set', 'default_boot_backend_id=null', '--quiet'])).toEqual({
    code: 0,
    stdout: '',
    stderr: '',
  });
});

test('a setting that is not there is 2, a value that is refused is 4 and says which', async () => {
  const unknown = await cli.run(['settings', 'set', 'bandwidth=1']);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain('file_serving_bandwidth_mbps');
  const refused = await cli.run(['settings', 'set', 'operation_retention_days=0', '--json']);
  expect(refused).toMatchObject({ code: 4, stdout: '' });
  expect(problem.parse(JSON.parse(refused.stderr))).toMatchObject({
    code: 'validation_failed',
    errors: [{ field: 'operation_retention_days' }],
  });
  expect((await cli.run(['settings', 'set', 'default_boot_backend_id=nowhere'])).code).toBe(3);
});

test('uploads are listed and given up; several ask, an unknown one is 3 and stops none of the others', async () => {
  expect(await cli.json('uploadsList', ['uploads', 'list'])).toEqual({ uploads: [] });
  for (const name of ['/a', '/b', '/c']) await startUpload(name);
  const { uploads } = await cli.json('uploadsList', ['uploads', 'list', '--status', 'initiated']);
  const [c = '', b = '', a = ''] = uploads.map(({ upload_id }) => upload_id);
  expect(uploads.map(({ filepath }) => filepath)).toEqual(['/c', '/b', '/a']);
  expect((await cli.run(['uploads', 'abort', a, b])).code).toBe(2);
  expect(await cli.json('uploadsAbort', ['uploads', 'abort', a])).toEqual({ aborted: [a], failed: [] });
  const several = ['uploads', 'abort', b, unknownId, c, '--yes'];
  expect(await cli.json('uploadsAbort', several, { code: 3 })).toMatchObject({
    aborted: [b, c],
    failed: [{ name: unknownId, code: 'upload_not_found' }],
  });
  expect((await cli.run(['uploads', 'list', '--status', 'nonsense'])).code).toBe(4);
});

test('a key is issued with its token alone on standard output, works, and is revoked after a question', async () => {
  const created = await cli.run([
    'keys',
    'create',
    'ci',
    '--scope',
    'files:read',
    '--backend',
    'default',
    '--path',
    '/ci',
  ]);
  expect(created).toMatchObject({ code: 0, stderr: expect.stringContaining('not shown again') });
  const env = { HOLDFAST_API_KEY: created.stdout.trim() };
  expect(created.stdout).toMatch(/^\S+\n$/);
  expect((await cli.json('whoami', ['whoami'], { env })).key).toMatchObject({
    name: 'ci',
    path_prefix: '/ci',
  });
  expect((await cli.run(['keys', 'list'], { env })).code).toBe(4);

  const refused = await cli.run(['keys', 'revoke', 'ci']);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('--yes');
  const revoke = ['keys', 'revoke', 'ci'];
  const no = await runOnTerminal(hub, cli.home, revoke, [['Revoke "ci"', 'n\r']]);
  expect(no.code).toBe(2);
  expect(no.screen).toContain('Nothing was changed');
  expect((await runOnTerminal(hub, cli.home, revoke, [['Revoke "ci"', 'y\r']])).code).toBe(0);
  expect((await cli.run(['whoami'], { env })).code).toBe(4);

  const named = (all: string[]) => cli.json('keysList', ['keys', 'list', ...all]);
  expect((await named([])).keys.map(({ name }) => name)).not.toContain('ci');
  expect((await named(['--all'])).keys.map(({ name }) => name)).toContain('ci');
});

test('a key that makes no sense is not issued', async () => {
  expect((await cli.run(['keys', 'create', 'x'])).code).toBe(2);
  expect((await cli.run(['keys', 'create', 'x', '--scope', 'files:read', '--quiet'])).code).toBe(2);
  const scope = await cli.run(['keys', 'create', 'x', '--scope', 'everything']);
  expect(scope.code).toBe(4);
  expect(scope.stderr).toContain('scopes.0');
  expect((await cli.run(['keys', 'revoke', 'nobody', '--yes'])).code).toBe(3);
});

test('operations are listed by what is asked for', async () => {
  const { operations } = await cli.json('operationsList', ['operations', '--limit', '1']);
  expect(operations).toHaveLength(1);
  const none = ['operations', 'list', '--operation', 'sync', '--failed'];
  expect(await cli.json('operationsList', none)).toEqual({ operations: [] });
  expect((await cli.run(['operations', '--since', 'yesterday'])).code).toBe(4);
  expect((await cli.run(['operations', '--limit', '0'])).code).toBe(2);
});

test('help has a synopsis and examples; an unknown action is told the known ones', async () => {
  const help = await cli.run(['vault', '--help']);
  expect(help.code).toBe(0);
  expect(help.stdout).toContain('holdfast vault collect --dry-run');
  const unknown = await cli.run(['vault', 'clean']);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain('collect');
  const wrong = await cli.run(['vault', 'stats', '--dry-run']);
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain('--dry-run does not go with');
});
