import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
import { problem } from '@holdfast/contract/problem';
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

test('whoami shows the hub and the key, as lines in a pipe and as JSON', async () => {
  const plain = await cli.run(['whoami']);
  expect(plain).toMatchObject({ code: 0, stderr: '' });
  expect(plain.stdout).toContain(`hub\t${hub.url}\n`);
  expect(plain.stdout).toMatch(/^scopes\t.*admin/m);

  const shown = await cli.json('whoami', ['whoami']);
  expect(shown).toMatchObject({ profile: null, url: hub.url, key: { origin: 'environment' } });
});

test('--quiet prints nothing', async () => {
  expect(await cli.run(['whoami', '--quiet'])).toEqual({ code: 0, stdout: '', stderr: '' });
});

test('a wrong key is refused with 4; with --json the error is a problem document', async () => {
  const env = { HOLDFAST_API_KEY: 'f'.repeat(40) };
  expect((await cli.run(['whoami'], { env })).code).toBe(4);
  const json = await cli.run(['--json', 'whoami'], { env });
  expect(json).toMatchObject({ code: 4, stdout: '' });
  expect(problem.parse(JSON.parse(json.stderr))).toMatchObject({ code: 'unauthenticated', status: 401 });
});

test('a hub that is not there ends with 6 and names its address', async () => {
  const gone = await cli.run(['--url', 'http://127.0.0.1:1', '--timeout', '1', 'whoami']);
  expect(gone.code).toBe(6);
  expect(gone.stderr).toContain('http://127.0.0.1:1');
  expect(gone.stderr).not.toContain('    at ');
});

test('an unknown command and an unknown option end with 2 and a suggestion', async () => {
  const command = await cli.run(['whoam']);
  expect(command.code).toBe(2);
  expect(command.stderr).toContain('Did you mean whoami?');
  expect((await cli.run(['whoami', '--jsn'])).code).toBe(2);
});
