import { once } from 'node:events';
import { request as httpRequest, type ClientRequest } from 'node:http';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EMPTY_SHA256, sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import { sendRaw } from '@holdfast/test-support/raw-http';
import {
  ADMIN_KEY,
  problemOf,
  startTestHub,
  statusesOf,
  targetOf,
  type TestHub,
} from '../testing/test-hub.ts';

const before = 'the file as it was';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());
beforeEach(async () => {
  await hub.upload('/kept', before);
});

function target(path: string): string {
  return targetOf(endpoints.uploadFile, { id: hub.backendId }, { path });
}

function post(
  path: string,
  body: RequestInit['body'],
  headers: Record<string, string> = {},
): Promise<Response> {
  return hub.request(target(path), { method: 'POST', body, headers, duplex: 'half' });
}

async function bytesOf(path: string): Promise<Buffer> {
  const answer = await hub.response(endpoints.downloadFile, {
    params: { id: hub.backendId },
    query: { path },
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  expect(answer.headers.get('x-checksum-sha256')).toBe(sha256Hex(bytes));
  return bytes;
}

async function expectUntouched(): Promise<void> {
  expect(String(await bytesOf('/kept'))).toBe(before);
  expect(await readFile(`${hub.root}/kept`, 'utf8')).toBe(before);
}

describe('an upload', () => {
  const big = Buffer.alloc(3 * 1024 * 1024 + 17, 'holdfast');

  it('of raw bytes answers 201 when the file is new, 200 when it replaces one', async () => {
    const first = await post('/raw/deep/in/folders', big);
    expect(first.status).toBe(201);
    expect(await first.json()).toMatchObject({
      data: { size: big.length, checksum_sha256: sha256Hex(big), name: 'folders' },
    });
    expect((await post('/raw/deep/in/folders', 'other')).status).toBe(200);
    expect(String(await bytesOf('/raw/deep/in/folders'))).toBe('other');
  });

  it('of a form stores the part named file and nothing of the form', async () => {
    const form = new FormData();
    form.set('note', 'before');
    form.set('file', new Blob([big]), 'named by the client');
    form.set('later', 'after');
    expect((await post('/form', form)).status).toBe(201);
    expect((await bytesOf('/form')).equals(big)).toBe(true);
  });

  it('of a form without that part is refused', async () => {
    const form = new FormData();
    form.set('upload', new Blob(['x']), 'x');
    const refused = await problemOf(await post('/kept', form));
    expect(refused).toMatchObject({
      code: 'invalid_request',
      errors: [{ field: 'file', message: 'is required' }],
    });
    await expectUntouched();
  });

  it('of a form whose boundary never ends is refused', async () => {
    const body = '--edge\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf of the byt';
    const refused = await problemOf(
      await post('/kept', body, { 'content-type': 'multipart/form-data; boundary=edge' }),
    );
    expect(refused.status).toBe(400);
    await expectUntouched();
  });

  it('may come in chunks of unknown length', async () => {
    const stream = Readable.toWeb(Readable.from([big.subarray(0, 5), big.subarray(5)]));
    expect((await post('/chunked', new Response(stream).body)).status).toBe(201);
    expect((await bytesOf('/chunked')).equals(big)).toBe(true);
  });

  it('may be empty', async () => {
    const answer = await post('/empty', '');
    expect(await answer.json()).toMatchObject({ data: { size: 0, checksum_sha256: EMPTY_SHA256 } });
    expect(await bytesOf('/empty')).toHaveLength(0);
  });

  it('without a body at all is refused with 411', async () => {
    const lines = [
      `POST ${target('/kept')} HTTP/1.1`,
      'Host: hub',
      'Connection: close',
      `Authorization: Bearer ${ADMIN_KEY}`,
    ];
    const answer = await sendRaw({ url: hub.url, lines });
    expect(answer.status).toBe(411);
    await expectUntouched();
  });

  it('of JSON is stored as it is', async () => {
    const text = '{ "a":  1, broken';
    expect((await post('/data.json', text, { 'content-type': 'application/json' })).status).toBe(201);
    expect(String(await bytesOf('/data.json'))).toBe(text);
  });
});

describe('an expected checksum', () => {
  const base64 = (text: string): string => Buffer.from(sha256Hex(text), 'hex').toString('base64');

  it.each([
    ['X-Expected-Checksum-SHA256', (text: string) => ({ 'x-expected-checksum-sha256': sha256Hex(text) })],
    ['Content-Digest', (text: string) => ({ 'content-digest': `sha-256=:${base64(text)}:` })],
    ['Repr-Digest', (text: string) => ({ 'repr-digest': `sha-256=:${base64(text)}:` })],
  ])('in %s lets the right bytes in and changes nothing for others', async (_, header) => {
    const refused = await problemOf(await post('/kept', 'other bytes', header('the right bytes')));
    expect(refused).toMatchObject({ code: 'checksum_mismatch', status: 422 });
    await expectUntouched();
    expect((await post('/checked', 'the right bytes', header('the right bytes'))).ok).toBe(true);
  });

  it.each([
    [{ 'x-expected-checksum-sha256': 'abc' }],
    [{ 'content-digest': 'sha-256=:not base64:' }],
    [{ 'content-digest': `sha-256=:${base64('kept')}:`, 'x-expected-checksum-sha256': sha256Hex('other') }],
  ])('that is malformed or contradicts itself is refused before a byte is stored: %j', async (headers) => {
    const answer = await post('/kept', 'kept', headers);
    expect([400, 422]).toContain(answer.status);
    await expectUntouched();
  });
});

describe('a conditional upload', () => {
  it('with If-None-Match: * never replaces a file', async () => {
    const refused = await problemOf(await post('/kept', 'new', { 'if-none-match': '*' }));
    expect(refused).toMatchObject({ code: 'precondition_failed', status: 412 });
    await expectUntouched();
  });

  it('with If-None-Match: * lets one of eight writers make the file', async () => {
    const texts = Array.from({ length: 8 }, (_, index) => `writer ${index}`);
    const answers = await Promise.all(
      texts.map((text) => post('/raced/new', text, { 'if-none-match': '*' })),
    );
    expect(statusesOf(answers)).toEqual([201, 412, 412, 412, 412, 412, 412, 412]);
    expect(String(await bytesOf('/raced/new'))).toBe(
      texts[answers.findIndex(({ status }) => status === 201)],
    );
  });

  it('with If-Match lets one of eight writers replace the version that all have read', async () => {
    await hub.upload('/raced/old', before);
    const texts = Array.from({ length: 8 }, (_, index) => `writer ${index}`);
    const condition = { 'if-match': `"sha256:${sha256Hex(before)}"` };
    const answers = await Promise.all(texts.map((text) => post('/raced/old', text, condition)));
    expect(statusesOf(answers)).toEqual([200, 412, 412, 412, 412, 412, 412, 412]);
    expect(String(await bytesOf('/raced/old'))).toBe(
      texts[answers.findIndex(({ status }) => status === 200)],
    );
  });

  it.each([
    ['a weak ETag', `W/"sha256:${sha256Hex(before)}"`, 412],
    ['another ETag', '"sha256:00"', 412],
    ['no ETag', 'sha256', 400],
    ['a list that holds it', `"other", "sha256:${sha256Hex(before)}"`, 200],
    ['*', '*', 200],
  ])('with If-Match of %s', async (_, value, status) => {
    expect((await post('/kept', before, { 'if-match': value })).status).toBe(status);
  });

  it('with If-Match: * is refused where there is no file', async () => {
    expect((await post('/not/there', 'x', { 'if-match': '*' })).status).toBe(412);
  });

  it('with If-None-Match of an ETag is refused, since it means nothing there', async () => {
    expect((await post('/kept', 'x', { 'if-none-match': '"a"' })).status).toBe(400);
    await expectUntouched();
  });
});

describe('a body that is cut', () => {
  function startUpload(headers: Record<string, string>): ClientRequest {
    return httpRequest(hub.url + target('/kept'), {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_KEY}`, ...headers },
    });
  }

  it.each<[string, Record<string, string>]>([
    ['short of its Content-Length', { 'content-length': '1000000' }],
    ['in the middle of its chunks', { 'transfer-encoding': 'chunked' }],
    ['in a form', { 'content-type': 'multipart/form-data; boundary=edge', 'transfer-encoding': 'chunked' }],
  ])('%s leaves the old file and is logged as failed', async (_, headers) => {
    const { events } = hub.context;
    const failed = new Promise<string | undefined>((resolve) => {
      const unsubscribe = events.subscribe((event) => {
        if (event.type !== 'operation.finished' || event.success || event.file !== '/kept') return;
        unsubscribe();
        resolve(event.error?.code);
      });
    });
    const upload = startUpload({ ...headers, expect: '100-continue' });
    upload.on('error', () => {}); // it is cut on purpose
    upload.flushHeaders();
    await once(upload, 'continue'); // the hub reads the body from now on
    const form = '--edge\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n';
    await new Promise((resolve) =>
      upload.write(headers['content-type'] === undefined ? 'some' : `${form}some`, resolve),
    );
    upload.destroy();
    expect(['incomplete_body', 'cancelled']).toContain(await failed);
    await expectUntouched();
  });
});

describe('a client that waits for 100 Continue', () => {
  it('is told to go on only by an upload that is let in', async () => {
    const head = ['Host: hub', 'Connection: close', 'Expect: 100-continue', 'Content-Length: 4'];
    const lines = [`POST ${target('/expected')} HTTP/1.1`, `Authorization: Bearer ${ADMIN_KEY}`, ...head];
    const { hostname, port } = new URL(hub.url);
    const socket = connect(Number(port), hostname);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    const [first]: unknown[] = await once(socket, 'data');
    expect(String(first)).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    socket.write('body');
    const [second]: unknown[] = await once(socket, 'data');
    expect(String(second)).toMatch(/^HTTP\/1.1 201 /);
    socket.destroy();
  });

  it.each([
    ['without a key', [], '/kept', 401],
    ['with a bad path', [`Authorization: Bearer ${ADMIN_KEY}`], '/..', 422],
    [
      'with a malformed checksum',
      [`Authorization: Bearer ${ADMIN_KEY}`, 'X-Expected-Checksum-SHA256: abc'],
      '/kept',
      400,
    ],
    [
      'with a condition that means nothing',
      [`Authorization: Bearer ${ADMIN_KEY}`, 'If-None-Match: "x"'],
      '/kept',
      400,
    ],
  ])('is refused at once %s', async (_, headers, path, status) => {
    const lines = [
      `POST ${target(path)} HTTP/1.1`,
      'Host: hub',
      'Expect: 100-continue',
      'Content-Length: 1000000',
      ...headers,
    ];
    const answer = await sendRaw({ url: hub.url, lines });
    expect(answer.statusLine).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer.raw.toString('latin1')).not.toContain('100 Continue');
    await expectUntouched();
  });
});
