import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
import { startTcpProxy } from '@holdfast/test-support/tcp-proxy';
import type { TcpProxy } from '@holdfast/test-support/tcp-proxy';
import { makeCli } from '../testing/cli.ts';
import type { CliUnderTest } from '../testing/cli.ts';

const MiB = 1024 * 1024;
const size = 160 * MiB;
let hub: HubUnderTest;
let proxy: TcpProxy;
let cli: CliUnderTest;

beforeAll(async () => {
  hub = await startHub();
  proxy = await startTcpProxy({ port: Number(new URL(hub.url).port) });
  cli = await makeCli({ url: `http://${proxy.host}:${proxy.listenPort}`, adminKey: hub.adminKey });
  await writeFile(join(cli.home, 'big.bin'), randomBytes(size));
});

afterAll(async () => {
  await cli?.[Symbol.asyncDispose]();
  await proxy?.[Symbol.asyncDispose]();
  await hub?.[Symbol.asyncDispose]();
});

/** What a cut may cost: the chunk that was on the connection. */
const chunkBytes = 8 * MiB;
/** For the heads of requests and answers. */
const alittle = MiB;

test('a put through connections that are each cut after 32 MiB ends verified, and sends no more than a chunk too much for each cut', async () => {
  const limits = await hub.api('/api/uploads/limits');
  expect(await limits.json()).toMatchObject({ preferred_chunk_size: chunkBytes });
  const before = { bytes: proxy.bytes.toServer, cuts: proxy.limited };
  proxy.limitEach({ direction: 'toServer', bytes: 32 * MiB });
  const put = await cli.json('put', ['put', 'big.bin', 'default:/big.bin']);
  proxy.limitEach(null);
  const cuts = proxy.limited - before.cuts;
  expect(cuts).toBeGreaterThanOrEqual(3);
  expect(put.files).toMatchObject([{ bytes: size, verified: true }]);
  expect(proxy.bytes.toServer - before.bytes - size).toBeLessThan(cuts * chunkBytes + alittle);
});

test('a get through connections that are each cut after 32 MiB ends verified, and fetches no more than a chunk too much for each cut', async () => {
  await cli.json('put', ['put', 'big.bin', 'default:/fetched.bin']);
  const before = { bytes: proxy.bytes.toClient, cuts: proxy.limited };
  proxy.limitEach({ direction: 'toClient', bytes: 32 * MiB });
  const get = await cli.json('get', ['get', 'default:/fetched.bin', 'back.bin']);
  proxy.limitEach(null);
  const cuts = proxy.limited - before.cuts;
  expect(cuts).toBeGreaterThanOrEqual(3);
  expect(get.files).toMatchObject([{ bytes: size, verified: true }]);
  expect(proxy.bytes.toClient - before.bytes - size).toBeLessThan(cuts * chunkBytes + alittle);
  const back = await readFile(join(cli.home, 'back.bin'));
  expect(back.equals(await readFile(join(cli.home, 'big.bin')))).toBe(true);
});

test('Ctrl-C in the middle of a put says how to go on, and the same command goes on where it was', async () => {
  const before = proxy.bytes.toServer;
  await using first = await cli.start(['put', 'big.bin', 'default:/resumed.bin']);
  await proxy.passed('toServer', before + 48 * MiB);
  proxy.stall();
  first.kill('SIGINT');
  const { code } = await first.exited;
  proxy.resume();
  expect(code).toBe(130);
  expect(first.stderr()).toContain('holdfast put big.bin default:/resumed.bin');

  const middle = proxy.bytes.toServer;
  const again = await cli.json('put', ['put', 'big.bin', 'default:/resumed.bin']);
  expect(again.files).toMatchObject([{ bytes: size, verified: true, status: 'stored' }]);
  expect(proxy.bytes.toServer - middle).toBeLessThan(size);
});
