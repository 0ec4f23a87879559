import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { ADMIN_KEY, problemOf, startTestHub, type TestHub } from '../../testing/test-hub.ts';
import { parseMetadata } from './upload-metadata.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

const patchType = { 'content-type': 'application/offset+octet-stream' };
type Headers = Record<string, string>;

function send(
  method: string,
  target: string,
  headers: Headers = {},
  body?: Buffer<ArrayBuffer>,
): Promise<Response> {
  return hub.request(target, {
    method,
    headers: { 'tus-resumable': '1.0.0', ...headers },
    ...(body === undefined ? {} : { body }),
    key: ADMIN_KEY,
  });
}

function metadata(pairs: Record<string, string>): string {
  return Object.entries(pairs)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
    .join(',');
}

function named(name: string, more: Record<string, string> = {}): Headers {
  return { 'upload-metadata': metadata({ filepath: `/tus/${name}`, hostname: 'browser-1', ...more }) };
}

async function create(headers: Headers, body?: Buffer<ArrayBuffer>): Promise<string> {
  const answer = await send('POST', '/api/tus', headers, body);
  expect(answer.status).toBe(201);
  return answer.headers.get('location') ?? '';
}

function patch(
  target: string,
  offset: number,
  bytes: Buffer<ArrayBuffer>,
  headers: Headers = {},
): Promise<Response> {
  return send('PATCH', target, { ...patchType, 'upload-offset': String(offset), ...headers }, bytes);
}

async function offsetOf(target: string): Promise<string | null> {
  const answer = await send('HEAD', target);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('cache-control')).toBe('no-store');
  return answer.headers.get('upload-offset');
}

async function contentOf(bytes: Buffer): Promise<Buffer> {
  const answer = await hub.request(`/api/files/${sha256Hex(bytes)}/content`, { key: ADMIN_KEY });
  expect(answer.status).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
}

function checksumOf(algorithm: 'sha1' | 'sha256', bytes: Buffer): Headers {
  return { 'upload-checksum': `${algorithm} ${createHash(algorithm).update(bytes).digest('base64')}` };
}

describe('tus', () => {
  test('tells without a key what it can do, and answers 200 to a preflight', async () => {
    const answer = await hub.request('/api/tus', { method: 'OPTIONS', key: null });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('tus-version')).toBe('1.0.0');
    expect(answer.headers.get('tus-resumable')).toBe('1.0.0');
    expect(answer.headers.get('tus-checksum-algorithm')).toBe('sha1,sha256');
    expect(answer.headers.get('tus-extension')).toContain('concatenation');
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    expect(answer.headers.get('access-control-allow-headers')).toContain('Upload-Offset');
  });

  test('takes a file in two pieces, and publishes it with the last one', async () => {
    const bytes = Buffer.from('the two halves of one file');
    const target = await create({ 'upload-length': String(bytes.length), ...named('halves') });
    const first = await patch(target, 0, bytes.subarray(0, 10));
    expect(first.status).toBe(204);
    expect(first.headers.get('upload-offset')).toBe('10');
    expect(Date.parse(first.headers.get('upload-expires') ?? '')).toBeGreaterThan(Date.now());
    expect(await offsetOf(target)).toBe('10');
    const last = await patch(target, 10, bytes.subarray(10));
    expect(last.status).toBe(204);
    expect(await contentOf(bytes)).toEqual(bytes);
    expect(await offsetOf(target)).toBe(String(bytes.length));
  });

  test('takes the first bytes with the creation, and a length that is told later', async () => {
    const bytes = Buffer.from('creation with upload, length deferred');
    const created = await send(
      'POST',
      '/api/tus',
      { 'upload-defer-length': '1', ...patchType, ...named('deferred') },
      bytes.subarray(0, 8),
    );
    expect(created.status).toBe(201);
    expect(created.headers.get('upload-offset')).toBe('8');
    const target = created.headers.get('location') ?? '';
    expect((await send('HEAD', target)).headers.get('upload-defer-length')).toBe('1');
    const last = await patch(target, 8, bytes.subarray(8), { 'upload-length': String(bytes.length) });
    expect(last.status).toBe(204);
    expect(await contentOf(bytes)).toEqual(bytes);
  });

  test('publishes a file of no bytes at its creation', async () => {
    const target = await create({ 'upload-length': '0', ...named('empty') });
    expect(await offsetOf(target)).toBe('0');
    expect(await contentOf(Buffer.alloc(0))).toHaveLength(0);
  });

  test.each(['sha1', 'sha256'] as const)(
    'refuses bytes that a %s does not match with 460, and stays where it was',
    async (algorithm) => {
      const bytes = Buffer.from(`checked by ${algorithm}`);
      const target = await create({ 'upload-length': String(bytes.length), ...named(algorithm) });
      const wrong = await patch(
        target,
        0,
        Buffer.from('X').fill('X', 0, 1),
        checksumOf(algorithm, bytes.subarray(0, 1)),
      );
      expect(wrong.status).toBe(460);
      expect(wrong.headers.get('tus-resumable')).toBe('1.0.0');
      expect(await offsetOf(target)).toBe('0');
      expect((await patch(target, 0, bytes, checksumOf(algorithm, bytes))).status).toBe(204);
      expect(await contentOf(bytes)).toEqual(bytes);
    },
  );

  test('puts finished parts together, and refuses unfinished ones', async () => {
    const parts = [Buffer.from('one, '), Buffer.from('two, '), Buffer.from('three')];
    const targets = await Promise.all(
      parts.map((part) => create({ 'upload-length': String(part.length), 'upload-concat': 'partial' })),
    );
    const final = {
      'upload-concat': `final;${targets.map((target) => hub.url + target).join(' ')}`,
      ...named('whole'),
    };
    const early = await send('POST', '/api/tus', final);
    expect(await problemOf(early)).toMatchObject({ status: 409, errors: [{ field: 'Upload-Concat' }] });
    for (const [index, target] of targets.entries())
      expect((await patch(target, 0, parts[index] ?? Buffer.alloc(0))).status).toBe(204);
    const whole = await create(final);
    expect(await contentOf(Buffer.concat(parts))).toEqual(Buffer.concat(parts));
    const head = await send('HEAD', whole);
    expect(head.headers.get('upload-concat')).toBe(final['upload-concat']);
    expect(head.headers.get('upload-length')).toBe('15');
    expect((await patch(whole, 15, Buffer.from('more'))).status).toBe(403);
  });

  test('refuses bytes for another offset with 409, and tells the right one on asking', async () => {
    const target = await create({ 'upload-length': '10', ...named('offset') });
    expect((await patch(target, 5, Buffer.from('x'))).status).toBe(409);
    expect(await offsetOf(target)).toBe('0');
  });

  test('gives an upload up, and answers 410 from then on', async () => {
    const target = await create({ 'upload-length': '10', ...named('given-up') });
    expect((await send('DELETE', target)).status).toBe(204);
    expect((await send('HEAD', target)).status).toBe(410);
    expect((await patch(target, 0, Buffer.from('x'))).status).toBe(410);
  });

  test('takes PATCH and DELETE behind a POST', async () => {
    const bytes = Buffer.from('overridden');
    const target = await create({ 'upload-length': String(bytes.length), ...named('override') });
    const answer = await send(
      'POST',
      target,
      { 'x-http-method-override': 'PATCH', ...patchType, 'upload-offset': '0' },
      bytes,
    );
    expect(answer.status).toBe(204);
    expect(await contentOf(bytes)).toEqual(bytes);
    const other = await create({ 'upload-length': '1', ...named('override-2') });
    expect((await send('POST', other, { 'x-http-method-override': 'DELETE' })).status).toBe(204);
    expect((await send('POST', other, { 'x-http-method-override': 'GET' })).status).toBe(400);
  });

  test('fails an upload whose announced SHA-256 is another one', async () => {
    const target = await create({
      'upload-length': '5',
      ...named('mismatch', { sha256: sha256Hex('something else') }),
    });
    const answer = await patch(target, 0, Buffer.from('bytes'));
    expect(await problemOf(answer)).toMatchObject({ status: 422, code: 'checksum_mismatch' });
    expect((await send('HEAD', target)).status).toBe(410);
  });

  test.each<[string, string, Headers, number, string]>([
    ['another version', '/api/tus', { 'tus-resumable': '0.2.2', 'upload-length': '1' }, 412, 'Tus-Resumable'],
    ['no length', '/api/tus', {}, 400, 'Upload-Length'],
    [
      'two lengths',
      '/api/tus',
      { 'upload-length': '1', 'upload-defer-length': '1' },
      400,
      'Upload-Defer-Length',
    ],
    ['a negative length', '/api/tus', { 'upload-length': '-1' }, 400, 'Upload-Length'],
    ['a deferral that is none', '/api/tus', { 'upload-defer-length': 'yes' }, 400, 'Upload-Defer-Length'],
    [
      'metadata that is no Base64',
      '/api/tus',
      { 'upload-length': '1', 'upload-metadata': 'filepath !!' },
      400,
      'Upload-Metadata',
    ],
    ['no name', '/api/tus', { 'upload-length': '1', 'upload-metadata': '' }, 422, 'Upload-Metadata.filepath'],
    [
      'a hostname with a slash',
      '/api/tus',
      { 'upload-length': '1', 'upload-metadata': metadata({ name: 'a', hostname: 'a/b' }) },
      422,
      'Upload-Metadata.hostname',
    ],
    ['a final without parts', '/api/tus', { 'upload-concat': 'final;' }, 400, 'Upload-Concat'],
    [
      'a file beyond 5 TiB',
      '/api/tus',
      { 'upload-length': '9007199254740991', ...named('huge') },
      413,
      'Upload-Length',
    ],
  ])('refuses %s, naming the field', async (_what, target, headers, status, field) => {
    const answer = await send('POST', target, headers);
    expect(answer.headers.get('tus-resumable')).toBe('1.0.0');
    const problem = await problemOf(answer);
    expect(problem.status).toBe(status);
    expect(problem.errors?.map((error) => error.field)).toContain(field);
    if (status === 412) expect(answer.headers.get('tus-version')).toBe('1.0.0');
  });

  test('refuses a PATCH without the media type or the offset', async () => {
    const target = await create({ 'upload-length': '1', ...named('form') });
    expect(
      (await send('PATCH', target, { 'upload-offset': '0', 'content-type': 'text/plain' }, Buffer.from('x')))
        .status,
    ).toBe(415);
    expect((await send('PATCH', target, patchType, Buffer.from('x'))).status).toBe(400);
    expect((await patch(target, 0, Buffer.from('too much'))).status).toBe(413);
    expect(await offsetOf(target)).toBe('0');
  });

  test('shows an upload to nobody but its key', async () => {
    const target = await create({ 'upload-length': '1', ...named('private') });
    const { token } = await hub.issueKey({ name: `tus-${crypto.randomUUID()}`, scopes: ['files:write'] });
    const answer = await hub.request(target, {
      method: 'HEAD',
      headers: { 'tus-resumable': '1.0.0' },
      key: token,
    });
    expect(answer.status).toBe(404);
    expect(
      (await hub.request(target, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' }, key: null }))
        .status,
    ).toBe(401);
  });
});

describe('parseMetadata', () => {
  test('reads back every list of pairs', () => {
    const key = fc.stringMatching(/^[a-zA-Z0-9_-]{1,20}$/);
    fc.assert(
      fc.property(fc.dictionary(key, fc.string({ unit: 'grapheme' })), (pairs) => {
        expect(Object.fromEntries(parseMetadata(metadata(pairs)))).toEqual({ ...pairs });
      }),
    );
  });
});
