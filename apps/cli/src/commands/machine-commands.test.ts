import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { cliOutputs } from '@holdfast/contract/cli-output';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
import { makeCli } from '../testing/cli.ts';
import type { CliUnderTest } from '../testing/cli.ts';

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

const path = 'hub:/build-7/etc/hosts';

/** Sends a version of a file as a machine does. */
async function send(filepath: string, text: string): Promise<string> {
  const name = join(cli.home, 'sent');
  await writeFile(name, text);
  const sent = await cli.run(['put', name, `hub:/build-7${filepath}`]);
  expect(sent.stderr + sent.stdout).not.toContain('error');
  expect(sent.code).toBe(0);
  return createHash('sha256').update(text).digest('hex');
}

test('versions of a host file are listed, and an older or a deleted one is restored', async () => {
  expect(await cli.json('hosts', ['hosts'])).toEqual({ hosts: [] });
  const first = await send('/etc/hosts', 'one');
  const second = await send('/etc/hosts', 'two');
  await send('/etc/hosts.bak', 'other');
  expect((await cli.json('hosts', ['hosts'])).hosts).toMatchObject([{ hostname: 'build-7', files: 2 }]);
  const { versions } = await cli.json('history', ['history', path]);
  expect(versions.map(({ version, sha256 }) => [version, sha256])).toEqual([
    [2, second],
    [1, first],
  ]);

  const dry = await cli.json('restore', ['restore', path, '--version', '1', '--dry-run']);
  expect(dry).toMatchObject({ dry_run: true, restored: [{ path, version: 1 }], files: [] });
  const older = await cli.json('restore', ['restore', path, '--version', '1']);
  expect(older.files).toMatchObject([{ version: 3, sha256: first, is_current: true }]);

  expect((await cli.run(['rm', path, 'hub:/build-7/etc/hosts.bak', '--yes'])).code).toBe(0);
  const id = (await cli.json('history', ['history', path])).versions[0]?.file_id ?? '';
  expect((await cli.json('restore', ['restore', '--file-id', id])).files).toMatchObject([
    { status: 'active', sha256: first },
  ]);
  const all = await cli.json('restore', ['restore', '-r', 'hub:/build-7']);
  expect(all.restored).toMatchObject([{ path: 'hub:/build-7/etc/hosts.bak' }]);
});

test('what is not there is 3, what needs no restoring 4, what is meant otherwise 2', async () => {
  expect((await cli.run(['history', 'hub:/build-7/etc/none'])).code).toBe(3);
  expect((await cli.run(['history', 'default:/etc/hosts'])).code).toBe(2);
  expect((await cli.run(['restore', path])).code).toBe(4);
  const version = await cli.run(['restore', path, '--version', '9']);
  expect(version.code).toBe(3);
  expect(version.stderr).toMatch(/It has: (?:\d, )*3, 2, 1\./);
  expect((await cli.run(['restore'])).code).toBe(2);
});

test('the vault is shown, counted for a collection, and verified: a changed byte ends with 5', async () => {
  const stats = await cli.json('vaultStats', ['vault']);
  expect(stats.contents).toBeGreaterThanOrEqual(3);
  expect((await cli.run(['vault', 'collect'])).code).toBe(2);
  expect(await cli.json('vaultCollect', ['vault', 'collect', '-n'])).toMatchObject({
    dry_run: true,
    removed_contents: 0,
  });
  expect((await cli.run(['vault', 'verify', 'hub:/build-7/etc/hosts'])).stderr).toContain(
    'all as they were stored',
  );

  const sum = createHash('sha256').update('other').digest('hex');
  const files = await readdir(hub.dataDir, { recursive: true });
  const stored = files.filter((name) => name.endsWith(sum)).map((name) => join(hub.dataDir, name));
  const [kept = ''] = stored;
  expect(await readFile(kept, 'utf8')).toBe('other');
  await writeFile(kept, 'OTHER');
  const found = await cli.json('vaultVerify', ['vault', 'verify', '--sha256', sum], { code: 5 });
  expect(found.damaged).toMatchObject([{ sha256: sum, problem: 'mismatch' }]);
  expect(found.damaged[0]?.host_files.map(({ filepath }) => filepath)).toContain('/etc/hosts.bak');
});

test('a transfer under way is listed and ended; an unknown one is 3, --follow goes with the list only', async () => {
  expect(await cli.json('transfersList', ['transfers'])).toEqual({ transfers: [] });
  await writeFile(join(cli.home, 'slow.img'), Buffer.alloc(16 * 1024 * 1024));
  expect((await cli.run(['put', 'slow.img', 'default:/'])).code).toBe(0);
  expect(
    (await cli.run(['settings', 'set', 'file_serving_bandwidth_mbps=1', 'min_transfer_mbps=0'])).code,
  ).toBe(0);
  const served = await hub.api('/api/v1/files/slow.img');
  const { transfers } = await cli.json('transfersList', ['transfers']);
  expect(transfers).toMatchObject([{ path: '/slow.img', size: 16 * 1024 * 1024 }]);
  const id = transfers[0]?.id ?? '';
  expect(await cli.json('transfersEnd', ['transfers', 'end', id])).toEqual({ ended: [id], failed: [] });
  await expect(served.arrayBuffer()).rejects.toThrow();
  expect((await cli.run(['transfers', 'end', id])).code).toBe(3);
  expect((await cli.run(['transfers', 'end'])).code).toBe(2);
  expect((await cli.run(['transfers', 'end', id, '--follow'])).code).toBe(2);
});

test('events come one a line, until SIGINT: 130', async () => {
  await using following = await cli.start(['events', '--types', 'settings.*']);
  const timeoutMs = 100_000;
  await following.waitForOutput(/following/, { timeoutMs, stream: 'stderr' });
  expect((await cli.run(['settings', 'set', 'min_transfer_mbps=2'])).code).toBe(0);
  await following.waitForOutput(/settings\.changed +min_transfer_mbps/, { timeoutMs });
  following.kill('SIGINT');
  expect((await following.exited).code).toBe(130);
});

test('events with --json are documents of their schema', async () => {
  await using following = await cli.start(['events', '--json']);
  await using other = await cli.start(['transfers', '--follow', '--json']);
  // Nothing says with --json that the connection stands: changes are made until one has come.
  let isThere = false;
  const first = following
    .waitForOutput(/settings\.changed/, { timeoutMs: 100_000 })
    .finally(() => (isThere = true));
  for (let value = 2; !isThere; value += 1) {
    const body = JSON.stringify({ min_transfer_mbps: 1 + (value % 50) });
    const headers = { 'content-type': 'application/json' };
    await hub.api('/api/v1/system/settings', { method: 'PATCH', headers, body });
  }
  await first;
  following.kill('SIGTERM');
  other.kill('SIGTERM');
  expect((await following.exited).code).toBe(130);
  expect(await other.exited).toMatchObject({ code: 130 });
  expect(other.stdout()).toBe('');
  for (const line of following.stdout().trim().split('\n')) cliOutputs.events.parse(JSON.parse(line));
});

test('an unknown type of events is 2 and names the known ones', async () => {
  const unknown = await cli.run(['events', '--types', 'upload.finished']);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain('upload.completed');
});
