import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());
afterEach(() => {
  vi.useRealTimers();
});

/** Asks for a WebSocket and never closes its own side. */
function askForUpgrade(target: string): { socket: Socket; received: () => string } {
  const { hostname, port } = new URL(hub.url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  const lines = [`GET ${target} HTTP/1.1`, 'Host: hub', 'Connection: Upgrade', 'Upgrade: websocket'];
  lines.push('Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==');
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  return { socket, received: () => text };
}

describe('a refused WebSocket', () => {
  it.each([
    ['/api/v1/events', 401],
    ['/api/v1/events?types=nonsense', 401],
    ['/api/v1/keys', 401],
    ['/nothing-here', 404],
  ])('at %s gets its answer whole and is then closed by the hub', async (target, status) => {
    const { socket, received } = askForUpgrade(target);
    await once(socket, 'end');
    socket.destroy();
    expect(received()).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    const length = Number(/content-length: (\d+)/i.exec(received())?.[1]);
    expect(received().split('\r\n\r\n')[1]).toHaveLength(length);
  });

  it('that never came to a route is cut by the hub after a while', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { socket, received } = askForUpgrade('/%zz');
    await once(socket, 'data');
    expect(received()).toMatch(/^HTTP\/1.1 400 /);
    vi.advanceTimersByTime(5_000);
    await once(socket, 'end');
    socket.destroy();
  });

  it('does not keep the hub from stopping', async () => {
    await using other = await startTestHub();
    const { hostname, port } = new URL(other.url);
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    socket.write('GET /%zz HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await once(socket, 'data');
    await other.stop();
    socket.destroy();
    await expect(fetch(other.url)).rejects.toThrow('fetch failed');
  });
});
