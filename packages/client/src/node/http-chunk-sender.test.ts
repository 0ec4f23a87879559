import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { open, truncate, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HashPool } from '@holdfast/bytes/hash-pool';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { HttpChunkSender } from './http-chunk-sender.ts';
import { localFileSource } from './local-file.ts';

const MiB = 1024 * 1024;
const size = 3 * MiB + 5;
const bytes = randomBytes(size);

describe('sending chunks of a file', () => {
  let resources: AsyncDisposableStack;
  let path: string;
  let handle: FileHandle;
  let pool: HashPool;
  beforeEach(async () => {
    resources = new AsyncDisposableStack();
    const folder = resources.use(await makeTempDir('chunk-sender'));
    path = folder.join('file');
    await writeFile(path, bytes);
    handle = resources.use(await open(path));
    pool = resources.use(new HashPool({ workers: 1 }));
  });
  afterEach(async () => resources.disposeAsync());

  /** A sender to a server that answers as it is told. */
  async function senderTo(listener: RequestListener): Promise<HttpChunkSender> {
    const server = createServer(listener);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    resources.defer(() => {
      server.closeAllConnections();
      server.close();
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('The server has no port.');
    return resources.use(
      new HttpChunkSender({
        client: { url: `http://127.0.0.1:${address.port}/base`, headers: { authorization: 'Bearer key' } },
        handle,
        source: await localFileSource(handle, 'the-file', pool),
      }),
    );
  }

  const moved: number[] = [];
  function chunk(given: { signal?: AbortSignal; timeoutMs?: number } = {}) {
    moved.length = 0;
    return {
      ...{ uploadId: 'u/1', num: 2, position: 5, length: size - 5 },
      signal: given.signal ?? new AbortController().signal,
      timeoutMs: given.timeoutMs ?? 60_000,
      onMoved: (count: number) => void moved.push(count),
    };
  }

  it('sends the very bytes with their length, digest and credential, and tells them piece by piece', async () => {
    const wanted = createHash('sha256').update(bytes.subarray(5)).digest();
    const heads: unknown[] = [];
    const sender = await senderTo((request, response) => {
      const hash = createHash('sha256');
      heads.push([request.method, request.url, request.headers]);
      request.on('data', (piece: Buffer) => hash.update(piece));
      request.on('end', () => {
        const etag = hash.digest('hex');
        const answer = { chunk_num: 2, etag, received_bytes: size - 5, uploaded_chunks: 1, total_chunks: 3 };
        response.end(JSON.stringify(answer));
      });
    });
    expect(await sender.send(chunk())).toBe(wanted.toString('hex'));
    await sender.send(chunk());
    const headers = {
      authorization: 'Bearer key',
      'content-length': String(size - 5),
      'content-digest': `sha-256=:${wanted.toString('base64')}:`,
    };
    const head = ['PUT', '/base/api/uploads/u%2F1/chunk/2', expect.objectContaining(headers)];
    expect(heads).toEqual([head, head]);
    expect(moved.reduce((sum, count) => sum + count, 0)).toBe(size - 5);
    expect(Math.max(...moved)).toBeLessThan(MiB);
  });

  it('stops at a refusal that comes before the end, and throws it', async () => {
    const sender = await senderTo((_, response) => {
      response.writeHead(413, { 'content-type': 'application/problem+json' });
      response.end(
        JSON.stringify({ type: 'x', title: 'x', status: 413, detail: 'Too much.', code: 'quota_exceeded' }),
      );
    });
    await expect(sender.send(chunk())).rejects.toMatchObject({
      code: 'quota_exceeded',
      message: 'Too much.',
    });
  });

  it('does not take an answer without the checksum for one of a hub', async () => {
    const sender = await senderTo((request, response) => {
      request.resume().on('end', () => response.end('<html>Welcome to the hotel</html>'));
    });
    await expect(sender.send(chunk())).rejects.toMatchObject({ code: 'internal' });
  });

  it('says that the hub cannot be reached when the connection breaks or no answer comes in time', async () => {
    const broken = await senderTo((request) => void request.socket.destroy());
    await expect(broken.send(chunk())).rejects.toMatchObject({ code: 'unreachable', retryable: true });
    const silent = await senderTo((request) => void request.resume());
    await expect(silent.send(chunk({ timeoutMs: 1000 }))).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('no answer within 1 s'),
    });
  });

  it('ends when it is cancelled', async () => {
    const cancel = new AbortController();
    const sender = await senderTo((request) => request.resume().on('end', () => cancel.abort()));
    await expect(sender.send(chunk({ signal: cancel.signal }))).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('throws that the file changed when it is shorter than it was', async () => {
    const changed = { code: 'conflict', message: expect.stringContaining('the-file was changed') };
    const sender = await senderTo((request) => void request.resume());
    await truncate(path, MiB);
    await expect(sender.send(chunk())).rejects.toMatchObject(changed);
    const sha256 = createHash('sha256').update(bytes.subarray(5)).digest('hex');
    await expect(sender.send({ ...chunk(), sha256 })).rejects.toMatchObject(changed);
  });
});
