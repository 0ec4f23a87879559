import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StorageBackend } from '../backend.ts';
import { bytesAt, readAll, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal } from '../conformance/subject.ts';
import { createHttpBackend } from '../http.ts';
import type { HttpConfig } from '../http.ts';
import { derivedVolumeId } from './volume-id.ts';

// Servers as they are met in the wild, which neither nginx nor Apache can be set up to be.

let resources: AsyncDisposableStack;
beforeEach(() => {
  resources = new AsyncDisposableStack();
});
afterEach(() => resources.disposeAsync());

async function serve(handler: RequestListener, config: Partial<HttpConfig> = {}): Promise<StorageBackend> {
  const server = createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  resources.defer(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  const base_url = `http://127.0.0.1:${address.port}/`;
  const volumeId = derivedVolumeId(new URL(base_url));
  return resources.use(
    createHttpBackend({
      base_url,
      listing: 'none',
      ...config,
      volumeId,
      ownerId: 'hub-1',
      timeLimitMs: 2000,
    }),
  );
}

const bytes = sampleBytes(300_000);
const file = parseBackendPath('/file');
const modified = 'Wed, 21 Oct 2015 07:28:00 GMT';

function sendChunked(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  if (request.method === 'HEAD') return void response.end();
  response.write(body.subarray(0, 1000));
  response.end(body.subarray(1000));
}

describe('a server that does not tell lengths', () => {
  it('is read once for the length, as long as the file stays the same', async () => {
    let reads = 0;
    const backend = await serve((request, response) => {
      if (request.method === 'GET' && request.headers.range === undefined) reads += 1;
      response.setHeader('last-modified', modified);
      sendChunked(request, response, bytes);
    });
    const entry = await backend.stat(file);
    expect(entry).toMatchObject({ size: 300_000, modifiedAt: new Date(modified) });
    expect(await backend.stat(file)).toEqual(entry);
    expect(reads).toBe(1);
    expect((await bytesAt(backend, file)).equals(bytes)).toBe(true);
    await using open = await backend.open(file);
    expect(
      (await readAll(open, { start: 100_000, end: 200_000 })).equals(bytes.subarray(100_000, 200_000)),
    ).toBe(true);
  });

  it('nor times, gives the digest of the bytes as the validator', async () => {
    let body = bytes;
    const backend = await serve((request, response) => sendChunked(request, response, body));
    const before = await backend.stat(file);
    await using open = await backend.open(file);
    body = sampleBytes(300_000, 2);
    expect((await open.revalidate()).validator).not.toBe(before.validator);
    body = sampleBytes(200_000);
    await refusal(readAll(open), 'backend_unavailable', 'conflict');
    body = sampleBytes(400_000);
    await refusal(readAll(open), 'conflict');
  });
});

it('asks for the first byte where HEAD is not allowed', async () => {
  const backend = await serve((request, response) => {
    const first = { etag: '"one"', 'content-range': 'bytes 0-0/300000', 'content-length': '1' };
    const whole = { etag: '"one"', 'content-length': '300000' };
    if (request.method !== 'GET') response.writeHead(405).end();
    else if (request.headers.range === 'bytes=0-0') response.writeHead(206, first).end(bytes.subarray(0, 1));
    else response.writeHead(200, whole).end(bytes);
  });
  expect((await backend.stat(file)).size).toBe(300_000);
  expect((await bytesAt(backend, file)).equals(bytes)).toBe(true);
});

it('refuses a server that compresses though it was asked not to', async () => {
  const backend = await serve((request, response) => {
    expect(request.headers['accept-encoding']).toBe('identity');
    response.writeHead(200, { 'content-encoding': 'gzip', etag: '"one"', 'content-length': '10' }).end();
  });
  const error = await refusal(backend.stat(file), 'not_supported');
  expect(error.message).toContain('gzip');
});

it('repeats what a busy server put off', async () => {
  let attempts = 0;
  const backend = await serve((_request, response) => {
    attempts += 1;
    if (attempts < 3) response.writeHead(503).end();
    else response.writeHead(200, { etag: '"one"', 'content-length': '10' }).end();
  });
  expect((await backend.stat(file)).size).toBe(10);
  expect(attempts).toBe(3);
});

it('ends in an error when redirects go in a circle', async () => {
  const backend = await serve((request, response) => {
    response.writeHead(302, { location: `${request.url ?? ''}x` }).end();
  });
  const error = await refusal(backend.stat(file), 'backend_unavailable');
  expect(error.retryable).toBe(false);
});

it('finds a length that changed between the look and the read', async () => {
  const backend = await serve((request, response) => {
    const size = request.method === 'HEAD' ? 10 : 11;
    response
      .writeHead(200, { etag: '"one"', 'content-length': String(size) })
      .end(request.method === 'HEAD' ? '' : 'x'.repeat(11));
  });
  await refusal(bytesAt(backend, file), 'conflict');
});

describe('a WebDAV server', () => {
  const multistatus = (properties: string): string =>
    `<?xml version="1.0"?><multistatus xmlns="DAV:"><response><href>/</href><propstat><prop>` +
    `<resourcetype><collection/></resourcetype>${properties}</prop><status>HTTP/1.1 200 OK</status></propstat></response></multistatus>`;

  it('that tells its quota is asked for the usage, once a check has seen it', async () => {
    const quota =
      '<quota-used-bytes>300</quota-used-bytes><quota-available-bytes>700</quota-available-bytes>';
    const backend = await serve(
      (_request, response) => void response.writeHead(207).end(multistatus(quota)),
      {
        listing: 'webdav',
      },
    );
    expect(backend.capabilities.usage).toBe(false);
    expect((await backend.probe()).ok).toBe(true);
    expect(backend.capabilities.usage).toBe(true);
    expect(await backend.usage?.()).toEqual({ usedBytes: 300, totalBytes: 1000 });
  });

  it('that calls its quota unlimited has none', async () => {
    const quota = '<quota-used-bytes>300</quota-used-bytes><quota-available-bytes>-3</quota-available-bytes>';
    const backend = await serve(
      (_request, response) => void response.writeHead(207).end(multistatus(quota)),
      {
        listing: 'webdav',
      },
    );
    expect((await backend.probe()).ok).toBe(true);
    expect(backend.capabilities.usage).toBe(false);
  });

  it.each([
    ['that ends early', multistatus('').slice(0, -20)],
    ['about another folder', multistatus('').replace('<href>/<', '<href>/other/deeper/<')],
    ['that is a page', '<html><body>Welcome</body></html>'],
    ['with a document type', `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>${multistatus('')}`],
  ])('is not believed a listing %s', async (_what, body) => {
    const backend = await serve((_request, response) => void response.writeHead(207).end(body), {
      listing: 'webdav',
    });
    const error = await refusal(backend.list(ROOT), 'backend_unavailable');
    expect(error.message).toContain('damaged');
  });
});
