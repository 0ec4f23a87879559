import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { parseRaw, requestRaw } from './raw-http.ts';

it('sends the target as written and keeps the answer as it was on the wire', async () => {
  let request = '';
  const server = createServer((socket) => {
    socket.once('data', (bytes) => {
      request = bytes.toString('latin1');
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 3\r\netag:"x"\r\n\r\nabc');
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  try {
    const response = await requestRaw(`http://127.0.0.1:${port}`, 'GET', '//a/../b:c', ['Range: bytes=0-2']);
    expect(request).toBe(
      `GET //a/../b:c HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\nRange: bytes=0-2\r\n\r\n`,
    );
    expect(response.status).toBe(200);
    expect(response.headerLines).toEqual(['Content-Length: 3', 'etag:"x"']);
    expect(response.header('Content-Length')).toBe('3');
    expect(response.header('ETag')).toBeUndefined();
    expect(response.header('etag')).toBe('"x"');
    expect(response.body.toString()).toBe('abc');
  } finally {
    server.close();
  }
});

it('refuses what is not HTTP/1', () => {
  expect(() => parseRaw(Buffer.from('nonsense\r\n\r\n'))).toThrow(/status line/);
  expect(() => parseRaw(Buffer.from('HTTP/1.1 200 OK\r\nA: b\r\n'))).toThrow(/Not an HTTP\/1 message/);
});
