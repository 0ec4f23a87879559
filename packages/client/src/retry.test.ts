import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { problemMediaType, toProblem } from '@holdfast/contract/problem';
import { HoldfastError } from '@holdfast/contract/errors';
import { createClient } from './client.ts';
import { backoffMs, defaultRetryPolicy, isRepeatable, nextPause, retryAfterMs } from './retry.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, attempt: number) => void;

async function serve(handler: Handler) {
  let attempts = 0;
  const server = createServer((request, response) => {
    attempts += 1;
    request.resume();
    request.on('end', () => handler(request, response, attempts));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  const url = `http://127.0.0.1:${address.port}`;
  return {
    client: createClient({ url, retry: { baseMs: 1, capMs: 2, attempts: 4 } }),
    url,
    attempts: () => attempts,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function refuse(response: ServerResponse, error: HoldfastError, headers: Record<string, string> = {}): void {
  const body = toProblem(error);
  response.writeHead(body.status, { 'content-type': problemMediaType, ...headers });
  response.end(JSON.stringify(body));
}

function answer(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

const known = { known: [] };

describe('a call that fails', () => {
  it('is tried again when the hub is busy, and after a lost connection', async () => {
    await using server = await serve((_, response, attempt) => {
      if (attempt === 1) refuse(response, new HoldfastError('busy', 'Later.'), { 'retry-after': '0' });
      else if (attempt === 2) response.destroy();
      else answer(response, known);
    });
    expect(await server.client.call('checkContents', { body: { sha256: [] } })).toEqual(known);
    expect(server.attempts()).toBe(3);
  });

  it('is tried a bounded number of times, then throws what the hub said last', async () => {
    await using server = await serve((_, response) => refuse(response, new HoldfastError('busy', 'Later.')));
    await expect(server.client.call('getUploadLimits')).rejects.toMatchObject({
      code: 'busy',
      message: 'Later.',
    });
    expect(server.attempts()).toBe(4);
  });

  it('is not tried again when it could be done twice', async () => {
    await using server = await serve((_, response) => response.destroy());
    const body = { path: '/a' };
    await expect(server.client.call('createFolder', { params: { id: 'x' }, body })).rejects.toMatchObject({
      code: 'unreachable',
    });
    expect(server.attempts()).toBe(1);
  });

  it('is not tried again when the request itself is wrong', async () => {
    await using server = await serve((_, response) =>
      refuse(response, new HoldfastError('not_found', 'No.')),
    );
    await expect(server.client.call('getUploadLimits')).rejects.toMatchObject({ code: 'not_found' });
    expect(server.attempts()).toBe(1);
  });

  it('ends at once when it is cancelled, also while it waits', async () => {
    const cancel = new AbortController();
    await using server = await serve((_, response) => {
      refuse(response, new HoldfastError('busy', 'Later.'), { 'retry-after': '50' });
      response.once('close', () => cancel.abort());
    });
    await expect(server.client.call('getUploadLimits', { signal: cancel.signal })).rejects.toMatchObject({
      code: 'cancelled',
    });
  });

  it('names the URL and the reason when nobody listens, and a proxy that answers instead of the hub', async () => {
    const server = await serve((_, response) => answer(response, known));
    await server[Symbol.asyncDispose]();
    await expect(server.client.call('getUploadLimits')).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringMatching(
        /http:\/\/127\.0\.0\.1:\d+ cannot be reached .*ECONNREFUSED.*Check the URL/,
      ),
    });
    await using proxy = await serve((_, response) =>
      response.writeHead(404, { 'content-type': 'text/html' }).end('x'),
    );
    await expect(proxy.client.call('getUploadLimits')).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining(proxy.url),
    });
  });

  it('gives an attempt up that gets no answer', async () => {
    await using server = await serve((_, response, attempt) => {
      if (attempt > 1) answer(response, known);
    });
    const options = { body: { sha256: [] }, attemptTimeoutMs: 50 };
    expect(await server.client.call('checkContents', options)).toEqual(known);
  });

  it('refuses an answer of another form', async () => {
    await using server = await serve((_, response) => answer(response, { unknown: 1 }));
    await expect(server.client.call('getUploadLimits')).rejects.toThrow(/does not understand/);
  });
});

describe('pauses', () => {
  const policy = fc.record({
    attempts: fc.integer({ min: 1, max: 50 }),
    baseMs: fc.integer({ min: 1, max: 10_000 }),
    capMs: fc.integer({ min: 1, max: 100_000 }),
    totalMs: fc.integer({ min: 0, max: 1_000_000 }),
  });
  const chance = fc.double({ min: 0, max: 0.999_999, noNaN: true });

  it('are between nothing and the cap, and never beyond twice the bound of the one before', () => {
    fc.assert(
      fc.property(policy, chance, fc.integer({ min: 1, max: 2000 }), (given, random, failures) => {
        const pause = backoffMs(failures, given, () => random);
        const bound = Math.min(given.capMs, given.baseMs * 2 ** (failures - 1));
        expect(pause >= 0 && pause <= bound && bound <= given.capMs).toBe(true);
      }),
    );
  });

  it('end in time, wait at least as long as the hub asks, and are never more than the attempts allow', () => {
    const after = fc.option(fc.integer({ min: 0, max: 2_000_000 }), { nil: undefined });
    fc.assert(
      fc.property(policy, chance, after, (given, random, afterMs) => {
        let elapsed = 0;
        let failures = 1;
        for (;;) {
          const failed = { error: undefined, retry: true, afterMs };
          const pause = nextPause(failures, elapsed, failed, given, () => random);
          if (pause === undefined) break;
          expect(pause).toBeGreaterThanOrEqual(afterMs ?? 0);
          elapsed += pause;
          failures += 1;
        }
        expect(failures).toBeLessThanOrEqual(given.attempts);
        expect(elapsed).toBeLessThanOrEqual(given.totalMs);
      }),
    );
    const never = { error: undefined, retry: false };
    expect(nextPause(1, 0, never, defaultRetryPolicy)).toBeUndefined();
  });

  it('follow Retry-After in seconds and as a date', () => {
    const now = new Date('2026-11-21T12:00:00Z');
    expect(retryAfterMs('7', now)).toBe(7000);
    expect(retryAfterMs('Sat, 21 Nov 2026 12:00:30 GMT', now)).toBe(30_000);
    expect(retryAfterMs('Sat, 21 Nov 2026 11:00:00 GMT', now)).toBe(0);
    expect([retryAfterMs('soon', now), retryAfterMs('-1', now), retryAfterMs(null, now)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('are for calls that may be repeated', () => {
    const at = (method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE') => ({ method });
    expect(isRepeatable('listFiles', at('GET'))).toBe(true);
    expect(isRepeatable('putChunk', at('PUT'))).toBe(true);
    expect(isRepeatable('completeUpload', at('POST'))).toBe(true);
    expect(isRepeatable('initiateUpload', at('POST'))).toBe(false);
    expect(isRepeatable('moveFile', at('POST'))).toBe(false);
  });
});
