import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { requestRaw, sendRaw } from '@holdfast/test-support/raw-http';
import { problemOf, startTestHub, type RequestOptions, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

function postKey(
  body: RequestInit['body'],
  headers: Record<string, string> = { 'content-type': 'application/json' },
): Promise<Response> {
  const options: RequestOptions = { method: 'POST', body, headers, duplex: 'half' };
  return hub.request('/api/v1/keys', options);
}

describe('a problem', () => {
  it('has a type, a title, a sentence, a code, and the id of its request', async () => {
    const answer = await hub.request('/api/v1/storage/backends/none');
    expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(await problemOf(answer)).toEqual({
      type: '/docs#error-backend_not_found',
      title: 'No such backend',
      status: 404,
      detail: 'There is no backend with the id none.',
      code: 'backend_not_found',
      request_id: answer.headers.get('x-request-id'),
    });
  });

  it('explains its type on the page of the documentation', async () => {
    const { type } = await problemOf(await hub.request('/nothing'));
    const page = await (await hub.request('/docs', { key: null })).text();
    expect(page).toContain(`id="${type.slice(type.indexOf('#') + 1)}"`);
  });

  it.each(['/nothing', '/api/v2/keys', '/api/v1/keysx', '/healthz/', '/api/v1/storage/backends/x/files/y'])(
    'of the path %s is 404 and points to the documentation',
    async (path) => {
      const found = await problemOf(await hub.request(path));
      expect(found).toMatchObject({ code: 'not_found', status: 404 });
      expect(found.detail).toContain('/docs');
    },
  );

  it.each([
    ['PUT', '/api/v1/keys', 'GET or HEAD or POST'],
    ['POST', '/healthz', 'GET or HEAD'],
    ['POST', '/api/v1/files/a/b', 'GET or HEAD'],
    ['DELETE', '/api/v1/system/settings', 'GET or HEAD or PATCH'],
    ['OPTIONS', '/api/v1/storage/backends/x/folders', 'POST'],
  ])('of %s on %s is 405 and names the methods', async (method, path, methods) => {
    const answer = await hub.request(path, { method });
    expect(answer.headers.get('allow')).toBe(methods.replaceAll(' or ', ', ')); // RFC 9110 §15.5.6
    const found = await problemOf(answer);
    expect(found).toMatchObject({ code: 'method_not_allowed', status: 405 });
    expect(found.detail).toContain(`use ${methods}.`);
  });

  it('of a path that is no URL is 400', async () => {
    const answer = await requestRaw(hub.url, 'GET', '/%zz');
    expect(answer.status).toBe(400);
    expect(answer.body.toString()).toContain('"code":"invalid_request"');
  });

  it('has no body for HEAD, and the headers that GET has', async () => {
    const [head, get] = [
      await requestRaw(hub.url, 'HEAD', '/nothing'),
      await requestRaw(hub.url, 'GET', '/nothing'),
    ];
    expect(head.status).toBe(404);
    expect(head.body).toHaveLength(0);
    expect(head.header('Content-Type')).toBe(get.header('Content-Type'));
  });

  it('of a fault tells nothing of its inside, and is found in the log by the request id', async () => {
    await using own = await startTestHub();
    await own.context.catalog[Symbol.asyncDispose](); // the database goes away
    const fault = await own.refusal(endpoints.listWorkflows, { headers: { 'x-request-id': 'find-me' } });
    expect(fault).toMatchObject({ code: 'internal', status: 500, request_id: 'find-me' });
    const line = own
      .logs()
      .split('\n')
      .find((text) => text.includes('find-me') && text.includes('"level":50'));
    expect(line).toContain('"stack"');
    expect(fault.detail).not.toMatch(/stack|at .*:\d+/);
  });
});

describe('a JSON body', () => {
  it.each(['{', '{"name": }', '', 'null,', '\u0000'])('that is malformed is 400: %j', async (text) => {
    const refused = await problemOf(await postKey(text));
    expect(refused).toMatchObject(
      text === '' ? { code: 'validation_failed', status: 422 } : { code: 'invalid_request', status: 400 },
    );
  });

  it.each([['[]'], ['"text"'], ['5']])('that is no object is 422: %s', async (text) => {
    expect(await problemOf(await postKey(text))).toMatchObject({
      code: 'validation_failed',
      errors: [{ field: 'body' }],
    });
  });

  it('names every field that is wrong, missing or unknown', async () => {
    const refused = await problemOf(
      await postKey(JSON.stringify({ scopes: ['a'], colour: 'red', expires_at: 'soon', path_prefix: '' })),
    );
    expect(refused.code).toBe('validation_failed');
    const fields = Object.fromEntries((refused.errors ?? []).map(({ field, message }) => [field, message]));
    expect(Object.keys(fields).toSorted()).toEqual([
      'colour',
      'expires_at',
      'name',
      'path_prefix',
      'scopes.0',
    ]);
    expect(fields).toMatchObject({ name: 'is required', colour: 'is not a known field' });
    for (const field of Object.keys(fields)) expect(refused.detail).toContain(`\`${field}\``);
  });

  it.each([
    'application/x-www-form-urlencoded',
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/octet-stream',
  ])('sent as %s is 415', async (type) => {
    const refused = await problemOf(await postKey('name=x', { 'content-type': type }));
    expect(refused).toMatchObject({ code: 'unsupported_media_type', status: 415 });
  });

  it.each(['application/json; charset=utf-8', 'APPLICATION/JSON', 'application/merge-patch+json'])(
    'may be called %s',
    async (type) => {
      const answer = await postKey(JSON.stringify({ name: `typed ${type}`, scopes: ['files:read'] }), {
        'content-type': type,
      });
      expect(answer.status).toBe(201);
    },
  );

  it('of more than a mebibyte is 413, with a length or without', async () => {
    const huge = Buffer.alloc(1024 * 1024 + 1, ' ');
    expect(await problemOf(await postKey(huge))).toMatchObject({ code: 'too_large', status: 413 });
    const chunked = new Response(Readable.toWeb(Readable.from([huge, Buffer.from('{}')]))).body;
    expect(await problemOf(await postKey(chunked))).toMatchObject({ code: 'too_large' });
  });

  it('of another endpoint does not spoil the prototype', async () => {
    const refused = await hub.request('/api/v1/system/settings', {
      method: 'PATCH',
      body: '{"__proto__": {"operation_retention_days": 1}}',
      headers: { 'content-type': 'application/json' },
    });
    expect(await problemOf(refused)).toMatchObject({ code: 'validation_failed' });
    expect(Object.prototype).not.toHaveProperty('operation_retention_days');
  });
});

describe('the request id', () => {
  it.each(['abc', 'A-b_c.d:1', '0'.repeat(128)])('is the one that was sent: %s', async (id) => {
    for (const path of ['/healthz', '/nothing', '/api/v1/ipxe/boot.ipxe']) {
      const answer = await hub.request(path, { headers: { 'x-request-id': id } });
      expect(answer.headers.get('x-request-id'), path).toBe(id);
    }
  });

  it.each(['two words', '<script>', 'a'.repeat(129), '{"json":1}', 'caf\u00e9', 'a,b', ''])(
    'is a new one where that would be unfit for a log: %j',
    async (id) => {
      const lines = ['GET /healthz HTTP/1.1', 'Host: hub', 'Connection: close', `X-Request-Id: ${id}`];
      const answer = await sendRaw({ url: hub.url, lines });
      const given = answer.headerLines
        .find((line) => /^x-request-id:/i.test(line))
        ?.slice('x-request-id:'.length)
        .trim();
      expect(given).toMatch(/^[\w-]{8,64}$/);
      expect(given).not.toBe(id);
    },
  );

  it('is another one for each request', async () => {
    const ids = await Promise.all(
      Array.from({ length: 20 }, async () => (await hub.request('/healthz')).headers.get('x-request-id')),
    );
    expect(new Set(ids).size).toBe(20);
  });

  it('is on files too', async () => {
    await hub.upload('/with-id', 'x');
    for (const id of ['first', 'second', 'third', 'fourth']) {
      const answer = await requestRaw(hub.url, 'GET', '/api/v1/files/with-id', [`X-Request-Id: ${id}`]);
      expect(answer.header('X-Request-Id')).toBe(id);
    }
  });
});
