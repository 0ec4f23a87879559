import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunningProcess, startProcess } from '@holdfast/test-support/process';
import { RandomContent } from '@holdfast/test-support/random-file';
import { peakMemory } from '@holdfast/test-support/rss';
import { makeTempDir, type TempDir } from '@holdfast/test-support/temp-dir';
import { encodeAck, encodeRequest, parsePacket } from './packets.ts';
import { download, optionList } from './testing/tftp-client.ts';

const mebibyte = 1024 * 1024;
const content = new RandomContent('load', mebibyte);
let folder: TempDir;

beforeAll(async () => {
  folder = await makeTempDir('tftp');
  await content.writeTo(folder.join('file'));
});

afterAll(async () => {
  await folder[Symbol.asyncDispose]();
});

async function serve(timeoutMs: number): Promise<{ server: RunningProcess; port: number }> {
  const script = path.join(import.meta.dirname, 'testing/serve-folder.ts');
  const server = await startProcess(process.execPath, [script, folder.path, String(timeoutMs)]);
  const [, port] = await server.waitForOutput(/^port (\d+)$/m, { timeoutMs: 20_000 });
  return { server, port: Number(port) };
}

test('200 clients at once: none fails, and memory stays under 200 MiB', async () => {
  const { server, port } = await serve(1000);
  await using _ = server;
  const options = { blksize: 1428, windowsize: 16 };
  const clients = Array.from({ length: 200 }, () => download({ port, path: 'file', options }));
  const digest = content.sha256();
  for (const got of await Promise.all(clients)) expect(got.sha256).toBe(digest);
  expect(await peakMemory(server.pid)).toBeLessThan(200 * mebibyte);
});

/**
 * A client that confirms the OACK and block 1, then only listens. Resolves once the server has repeated
 * block 2, which proves that it noticed.
 */
async function stall(port: number): Promise<Disposable> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const windowsize = 44;
  const options = optionList({ blksize: 1468, windowsize });
  const request = encodeRequest('read', 'file', 'octet', options);
  const noticed = Promise.withResolvers<void>();
  let repeated = 0;
  // The kernel drops what a socket has no room for: as any client, it asks again until there is an answer.
  const again = setInterval(() => socket.send(request, port, '127.0.0.1'), 1000);
  socket.send(request, port, '127.0.0.1');
  socket.on('message', (bytes, from) => {
    clearInterval(again);
    const packet = parsePacket(bytes);
    if (packet.kind === 'oack') socket.send(encodeAck(0), from.port, '127.0.0.1');
    else if (packet.kind === 'data' && packet.block === 1) socket.send(encodeAck(1), from.port, '127.0.0.1');
    else if (packet.kind === 'data' && packet.block === 2 && (repeated += 1) === 2) noticed.resolve();
    else if (packet.kind === 'error') noticed.reject(new Error(packet.message));
  });
  await noticed.promise;
  return { [Symbol.dispose]: () => void socket.close() };
}

test('a thousand stalled clients cost bounded memory, and others are served meanwhile', async () => {
  // Long enough that the server does not give up a client of this busy process.
  const { server, port } = await serve(1000);
  await using _ = server;
  using stack = new DisposableStack();
  const stalled = await Promise.all(Array.from({ length: 1000 }, () => stall(port)));
  for (const client of stalled) stack.use(client);
  expect(await download({ port, path: 'file', options: { blksize: 1428 } })).toMatchObject({
    size: mebibyte,
  });
  expect(await peakMemory(server.pid)).toBeLessThan(250 * mebibyte);
});
