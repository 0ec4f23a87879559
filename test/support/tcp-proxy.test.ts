import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startTcpProxy } from './tcp-proxy.ts';
import type { TcpProxy } from './tcp-proxy.ts';

let resources: AsyncDisposableStack;
let proxy: TcpProxy;
beforeEach(async () => {
  resources = new AsyncDisposableStack();
  const echo = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  resources.defer(() => void echo.close());
  const address = echo.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  proxy = resources.use(await startTcpProxy({ port: address.port }));
});
afterEach(async () => {
  await resources.disposeAsync();
});

async function client(): Promise<Socket> {
  const socket = resources.adopt(connect(proxy.listenPort, proxy.host), (open) => void open.destroy());
  await once(socket, 'connect');
  return socket;
}

async function take(socket: Socket, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let taken = 0; taken < bytes;) {
    const [chunk]: Buffer[] = await once(socket, 'data');
    if (chunk === undefined) break;
    chunks.push(chunk);
    taken += chunk.byteLength;
  }
  return Buffer.concat(chunks);
}

it('passes bytes on, counts them, and ends with either side', async () => {
  const socket = await client();
  socket.end('hello');
  expect((await take(socket, 5)).toString()).toBe('hello');
  await once(socket, 'close');
  expect(proxy.bytes).toEqual({ toServer: 5, toClient: 5 });
  expect(proxy.accepted).toBe(1);
});

it('flips the very byte that was asked for, once', async () => {
  const socket = await client();
  const flipped = proxy.flipByte({ direction: 'toClient', afterBytes: 2, mask: 0x01 });
  socket.write('abcd');
  expect((await take(socket, 4)).toString()).toBe('abbd');
  await flipped;
  socket.write('abcd');
  expect((await take(socket, 4)).toString()).toBe('abcd');
});

it('holds everything back while it stalls', async () => {
  const socket = await client();
  socket.write('a');
  await take(socket, 1);
  proxy.stall();
  socket.write('held');
  const late = await client();
  late.write('late');
  await new Promise((resolve) => setImmediate(resolve));
  expect(proxy.bytes.toServer).toBe(1);
  proxy.resume();
  expect((await take(socket, 4)).toString()).toBe('held');
  expect((await take(late, 4)).toString()).toBe('late');
});

it('cuts and refuses connections', async () => {
  const socket = await client();
  socket.write('a');
  await take(socket, 1);
  proxy.cut();
  await expect(once(socket, 'data')).rejects.toThrow('ECONNRESET');
  proxy.refuse(true);
  const came = proxy.moreConnections(1);
  const refused = connect(proxy.listenPort, proxy.host);
  await once(refused, 'close').catch(() => undefined);
  expect(refused.bytesRead).toBe(0);
  await came;
  proxy.refuse(false);
  const again = await client();
  again.write('b');
  expect((await take(again, 1)).toString()).toBe('b');
});

it('cuts each connection at its own limit, counts that, and spares those that came before', async () => {
  const early = await client();
  early.write('a');
  await take(early, 1);
  proxy.limitEach({ direction: 'toServer', bytes: 4 });
  const before = proxy.bytes.toServer;
  for (const count of [1, 2]) {
    const socket = await client();
    socket.write('abc');
    expect((await take(socket, 3)).toString()).toBe('abc');
    const answered = once(socket, 'data');
    socket.write('defgh');
    await expect(answered).rejects.toThrow('ECONNRESET');
    expect(proxy.limited).toBe(count);
    expect(proxy.bytes.toServer - before).toBe(4 * count);
  }
  early.write('still whole');
  expect((await take(early, 11)).toString()).toBe('still whole');
  proxy.limitEach(null);
  const late = await client();
  late.write('whole again');
  expect((await take(late, 11)).toString()).toBe('whole again');
});
