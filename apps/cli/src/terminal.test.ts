import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
import { startTcpProxy } from '@holdfast/test-support/tcp-proxy';
import { makeCli } from './testing/cli.ts';
import type { CliUnderTest } from './testing/cli.ts';

const MiB = 1024 * 1024;
const red = '\u001B[31m';
const escape = '\u001B[';
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

async function local(name: string, bytes: Uint8Array | string): Promise<void> {
  await writeFile(join(cli.home, name), bytes);
}

test('a transfer shows a bar with rate, time left and chunks on a terminal, and plain lines in a pipe', async () => {
  await local('shown.bin', randomBytes(20 * MiB));
  const bar = await cli.onTerminal(['put', 'shown.bin', 'default:/shown.bin']);
  expect(bar.code).toBe(0);
  const drawn = bar.shown.split('\r\u001B[K').filter((line) => line.includes('[#') || line.includes('[-'));
  expect(drawn[0]).toMatch(/shown\.bin +\[-{30}\] +0% {2}0 B \/ 20 MiB {2}0 B\/s {2}chunk 0\/3/);
  expect(drawn.at(-1)).toMatch(/\[#+\] +100% {2}20 MiB \/ 20 MiB {2}[\d.]+ \w+\/s {2}ETA 0s {2}chunk 3\/3/);
  const back = await cli.onTerminal(['get', 'default:/shown.bin', 'back.bin']);
  expect(back.shown).toMatch(/100% {2}20 MiB \/ 20 MiB {2}[\d.]+ \w+\/s {2}ETA 0s/);

  const piped = await cli.run(['put', '-f', 'shown.bin', 'default:/shown.bin']);
  expect(piped.code).toBe(0);
  for (const control of ['\r', escape]) expect(piped.stderr).not.toContain(control);
  expect(piped.stderr).toMatch(
    /^sent: .*shown\.bin -> default:\/shown\.bin\n20 MiB, SHA-256 \w+, verified\n$/,
  );
});

test('a terminal gets colours, unless NO_COLOR or --no-color say otherwise', async () => {
  const missing = ['stat', 'default:/missing'];
  const colored = await cli.onTerminal(missing);
  expect(colored).toMatchObject({ code: 3, shown: expect.stringContaining(red) });
  for (const plain of [
    await cli.onTerminal(missing, { env: { NO_COLOR: '1' } }),
    await cli.onTerminal(missing, { env: { TERM: 'dumb' } }),
    await cli.onTerminal(['--no-color', ...missing]),
  ]) {
    expect(plain).toMatchObject({ code: 3, shown: expect.stringContaining('error:') });
    expect(plain.shown).not.toContain(escape);
  }
  expect((await cli.run(missing)).stderr).not.toContain(escape);
});

test('login asks for the URL and the key, and does not show the key', async () => {
  await using stranger = await makeCli(null);
  const { code, shown } = await stranger.onTerminal(['login'], {
    steps: [
      { when: 'URL of the hub', type: `${hub.url}\r` },
      { when: 'API key', type: `${hub.adminKey}\r` },
    ],
  });
  expect(shown).toContain(`Logged in to ${hub.url}`);
  expect(code).toBe(0);
  expect(shown).not.toContain(hub.adminKey.slice(0, 8));
  expect(await readFile(join(stranger.home, 'config/profiles.json'), 'utf8')).toContain(hub.adminKey);
});

test('rm asks what it names: n leaves the file and ends with 2, y removes it', async () => {
  await local('kept.txt', 'kept');
  await cli.run(['put', 'kept.txt', 'default:/kept.txt']);
  const question = String.raw`Remove default:/kept\.txt\?`;
  const no = await cli.onTerminal(['rm', 'default:/kept.txt'], { steps: [{ when: question, type: 'n\r' }] });
  const left = await cli.onTerminal(['rm', 'default:/kept.txt'], {
    steps: [{ when: question, type: '\u0003' }],
  });
  expect(left.code).toBe(130);
  expect(left.shown).toContain('Interrupted.');
  expect(no).toMatchObject({ code: 2, shown: expect.stringContaining('Nothing was changed.') });
  expect((await cli.run(['stat', 'default:/kept.txt'])).code).toBe(0);
  const yes = await cli.onTerminal(['rm', 'default:/kept.txt'], { steps: [{ when: question, type: 'y\r' }] });
  expect(yes.code).toBe(0);
  expect((await cli.run(['stat', 'default:/kept.txt'])).code).toBe(3);
});

test('Ctrl-C on a terminal keeps what was begun and prints the command that goes on', async () => {
  await using proxy = await startTcpProxy({ port: Number(new URL(hub.url).port) });
  await local('long.bin', randomBytes(48 * MiB));
  let isFirst = true;
  void proxy.passed('toServer', MiB).then(() => {
    if (isFirst) proxy.stall();
  });
  const args = ['--url', `http://${proxy.host}:${proxy.listenPort}`, 'put', 'long.bin', 'default:/long.bin'];
  const { code, shown } = await cli.onTerminal(args, { steps: [{ when: 'chunk 0/6', type: '\u0003' }] });
  expect(code).toBe(130);
  expect(shown).toContain(`To go on:\r\n  holdfast ${args.join(' ')}`);
  const records = join(cli.home, 'state/uploads');
  expect(await readdir(records)).toHaveLength(1);
  isFirst = false;
  proxy.resume();
  expect((await cli.json('put', args)).files).toMatchObject([{ status: 'stored', verified: true }]);
  expect(await readdir(records)).toEqual([]);
});
