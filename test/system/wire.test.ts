import { createHash } from 'node:crypto';
import { open, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHub, type HubUnderTest } from '../support/hub.ts';
import { bootBackend, parseProblem, store } from '../support/hub-storage.ts';
import { RandomContent } from '../support/random-file.ts';
import { type RawResponse, requestRaw, sendRaw } from '../support/raw-http.ts';

const bytes = Buffer.from(new RandomContent('wire', 100_000).bytes());
const sha256 = createHash('sha256').update(bytes).digest();
const etag = `"sha256:${sha256.toString('hex')}"`;
const file = '/api/v1/files/boot/linux:6.1.bin';

const resources = new AsyncDisposableStack();
let hub: HubUnderTest;
let root: string;
let backendId: string;

beforeAll(async () => {
  hub = resources.use(await startHub());
  ({ root, id: backendId } = await bootBackend(hub));
  await store(hub, backendId, '/boot/linux:6.1.bin', bytes);
});

afterAll(() => resources.disposeAsync());

const get = (target = file, ...headerLines: string[]): Promise<RawResponse> =>
  requestRaw(hub.url, 'GET', target, headerLines);

/** What firmware needs of every answer: GRUB compares names case-sensitively, OVMF hangs on an empty value. */
function expectFirmwareSafe(response: RawResponse): void {
  for (const line of response.headerLines) {
    expect(line).toMatch(/^[A-Z][A-Za-z0-9]*(-[A-Z][A-Za-z0-9]*)*: \S/);
  }
  expect(response.header('Transfer-Encoding')).toBeUndefined();
  expect(response.header('Location')).toBeUndefined();
}

describe('a boot file on the wire', () => {
  it('has every header in Title-Case, an exact length and all its digests', async () => {
    const response = await get();
    expect(response.statusLine).toBe('HTTP/1.1 200 OK');
    expectFirmwareSafe(response);
    expect(response.header('Content-Length')).toBe('100000');
    expect(response.header('Accept-Ranges')).toBe('bytes');
    expect(response.header('ETag')).toBe(etag);
    expect(response.header('X-Checksum-SHA256')).toBe(sha256.toString('hex'));
    expect(response.header('Repr-Digest')).toBe(`sha-256=:${sha256.toString('base64')}:`);
    expect(response.header('Digest')).toBe(`SHA-256=${sha256.toString('base64')}`);
    expect(Date.parse(response.header('Last-Modified') ?? '')).toBeGreaterThan(0);
    expect(response.header('Cache-Control')).toBeDefined();
    expect(response.body.equals(bytes)).toBe(true);
  });

  it('answers HEAD with the headers of GET and no body', async () => {
    const head = await requestRaw(hub.url, 'HEAD', file);
    const full = await get();
    expect(head.status).toBe(200);
    expect(head.body.length).toBe(0);
    const stable = (response: RawResponse): string[] =>
      response.headerLines.filter((line) => !/^(Date|X-Request-Id):/.test(line));
    expect(stable(head)).toEqual(stable(full));
  });

  it('is found with doubled slashes, an unescaped and an escaped colon, and a query', async () => {
    for (const target of [
      '/api/v1/files//boot//linux:6.1.bin',
      '//api/v1/files/boot/linux:6.1.bin',
      '/api/v1/files/boot/linux%3A6.1.bin',
      `${file}?x=1`,
    ]) {
      const response = await get(target);
      expect(response.status, target).toBe(200);
      expect(response.body.equals(bytes), target).toBe(true);
    }
  });

  it('is served to HTTP/1.0 clients', async () => {
    const response = await sendRaw({ url: hub.url, lines: [`GET ${file} HTTP/1.0`] });
    expect(response.status).toBe(200);
    expectFirmwareSafe(response);
    expect(response.body.equals(bytes)).toBe(true);
  });

  it('that is empty has a length of 0', async () => {
    await store(hub, backendId, '/empty.bin', new Uint8Array());
    const response = await get('/api/v1/files/empty.bin');
    expect(response.status).toBe(200);
    expect(response.header('Content-Length')).toBe('0');
    expect(response.header('X-Checksum-SHA256')).toBe(createHash('sha256').digest('hex'));
    expectFirmwareSafe(response);
  });

  it('that is missing is a firmware-safe 404 problem of exact length', async () => {
    const response = await get('/api/v1/files/missing.bin');
    expect(response.status).toBe(404);
    expectFirmwareSafe(response);
    expect(response.header('Content-Length')).toBe(String(response.body.length));
    expect(parseProblem(response.header('Content-Type'), response.body.toString()).code).toBe(
      'file_not_found',
    );
    const head = await requestRaw(hub.url, 'HEAD', '/api/v1/files/missing.bin');
    expect(head.status).toBe(404);
    expect(head.body.length).toBe(0);
    expectFirmwareSafe(head);
  });
});

describe('a boot script on the wire', () => {
  it.each([
    ['/api/v1/ipxe/boot.ipxe', /^#!ipxe\n/],
    ['/api/v1/boot?mac=52-54-00-aa-bb-01', /^#!ipxe\n/],
    ['/api/v1/boot/status?mac=52-54-00-aa-bb-01', /^#!ipxe\n/],
    ['/api/v1/boot/grub?mac=52-54-00-aa-bb-01', /\n/],
  ])('%s has Title-Case headers and an exact length', async (target, start) => {
    const response = await get(target);
    expect(response.status).toBe(200);
    expectFirmwareSafe(response);
    expect(response.header('Content-Length')).toBe(String(response.body.length));
    expect(response.body.toString()).toMatch(start);
    const head = await requestRaw(hub.url, 'HEAD', target);
    expect(head.status).toBe(200);
    expect(head.body.length).toBe(0);
    expect(head.header('Content-Length')).toBe(String(response.body.length));
  });

  it('points to the host that the machine asked', async () => {
    const lines = ['GET /api/v1/ipxe/boot.ipxe HTTP/1.1', 'Host: 10.0.2.2:8099', 'Connection: close'];
    const response = await sendRaw({ url: hub.url, lines });
    expect(response.body.toString()).toContain('http://10.0.2.2:8099/api/v1/boot?mac=${mac:hexhyp}');
  });
});

describe('a conditional request for a boot file', () => {
  const lastModified = async (): Promise<string> => (await get()).header('Last-Modified') ?? '';
  const longAgo = 'Sat, 01 Jan 2000 00:00:00 GMT';

  it('with a matching If-None-Match is 304 without a body, and keeps the ETag', async () => {
    for (const value of [etag, `W/${etag}`, '*', `"other", ${etag}`]) {
      const response = await get(file, `If-None-Match: ${value}`);
      expect(response.status, value).toBe(304);
      expect(response.header('ETag')).toBe(etag);
      expect(response.body.length).toBe(0);
      expectFirmwareSafe(response);
    }
    expect((await get(file, 'If-None-Match: "other"')).status).toBe(200);
  });

  it('with If-Modified-Since is 304 unless If-None-Match says otherwise', async () => {
    const time = await lastModified();
    expect((await get(file, `If-Modified-Since: ${time}`)).status).toBe(304);
    expect((await get(file, `If-Modified-Since: ${longAgo}`)).status).toBe(200);
    expect((await get(file, `If-Modified-Since: ${time}`, 'If-None-Match: "other"')).status).toBe(200);
  });

  it('with If-Match or If-Unmodified-Since that fails is 412', async () => {
    expect((await get(file, 'If-Match: "other"')).status).toBe(412);
    expect((await get(file, `If-Match: W/${etag}`)).status).toBe(412);
    expect((await get(file, `If-Match: ${etag}`)).status).toBe(200);
    expect((await get(file, `If-Unmodified-Since: ${longAgo}`)).status).toBe(412);
    expect((await get(file, 'If-Match: "other"', `If-None-Match: ${etag}`)).status).toBe(412);
  });
});

describe('a range of a boot file', () => {
  it.each([
    ['bytes=0-0', 0, 1],
    ['bytes=10-19', 10, 20],
    ['bytes=99990-', 99_990, 100_000],
    ['bytes=-5', 99_995, 100_000],
    ['bytes=99999-200000', 99_999, 100_000],
    ['bytes=-200000', 0, 100_000],
  ])('%s is a 206 of exactly these bytes', async (range, start, end) => {
    const response = await get(file, `Range: ${range}`);
    expect(response.statusLine).toBe('HTTP/1.1 206 Partial Content');
    expectFirmwareSafe(response);
    expect(response.header('Content-Range')).toBe(`bytes ${start}-${end - 1}/100000`);
    expect(response.header('Content-Length')).toBe(String(end - start));
    expect(response.header('ETag')).toBe(etag);
    expect(response.body.equals(bytes.subarray(start, end))).toBe(true);
  });

  it.each(['bytes=100000-', 'bytes=-0', 'bytes=200000-300000,400000-'])(
    '%s is a 416 with the size',
    async (range) => {
      const response = await get(file, `Range: ${range}`);
      expect(response.status).toBe(416);
      expect(response.header('Content-Range')).toBe('bytes */100000');
      expectFirmwareSafe(response);
    },
  );

  it.each(['bytes=9-5', 'bytes=abc', 'lines=1-2', 'bytes'])('%s is ignored', async (range) => {
    expect((await get(file, `Range: ${range}`)).status).toBe(200);
  });

  it('with If-Range is partial for the very same bytes only', async () => {
    const range = 'Range: bytes=0-9';
    expect((await get(file, range, `If-Range: ${etag}`)).status).toBe(206);
    expect((await get(file, range, `If-Range: W/${etag}`)).status).toBe(200);
    expect((await get(file, range, 'If-Range: "other"')).status).toBe(200);
  });

  it('of several parts is multipart/byteranges of exact length', async () => {
    const response = await get(file, 'Range: bytes=0-99,50000-50099,-100');
    expect(response.status).toBe(206);
    expectFirmwareSafe(response);
    expect(response.header('Content-Length')).toBe(String(response.body.length));
    const type = response.header('Content-Type') ?? '';
    const boundary = /^multipart\/byteranges; ?boundary="?([^"]+)"?$/.exec(type)?.[1];
    expect(boundary, type).toBeDefined();
    const parts = partsOf(response.body, boundary ?? '');
    expect(parts.map((part) => part.range)).toEqual([
      'bytes 0-99/100000',
      'bytes 50000-50099/100000',
      'bytes 99900-99999/100000',
    ]);
    expect(parts[0]?.body.equals(bytes.subarray(0, 100))).toBe(true);
    expect(parts[1]?.body.equals(bytes.subarray(50_000, 50_100))).toBe(true);
    expect(parts[2]?.body.equals(bytes.subarray(99_900))).toBe(true);
  });

  it('in a hundred overlapping pieces never costs more than the file', async () => {
    const many = Array.from({ length: 100 }, () => '0-').join(',');
    const response = await get(file, `Range: bytes=${many}`);
    expect([200, 206, 416]).toContain(response.status);
    expect(response.body.length).toBeLessThan(bytes.length + 10_000);
  });
});

describe('a boot file changed behind the hub', () => {
  it('never gets the old digest, even when size and modification time are the same', async () => {
    const target = path.join(root, 'boot/behind.bin');
    await store(hub, backendId, '/boot/behind.bin', bytes);
    const url = '/api/v1/files/boot/behind.bin';
    expect((await get(url)).header('ETag')).toBe(etag);
    const { atime, mtime } = await stat(target);

    const changed = Buffer.from(new RandomContent('behind', bytes.length).bytes());
    await using handle = await open(target, 'r+');
    await handle.write(changed, 0, changed.length, 0);
    await utimes(target, atime, mtime);

    const response = await get(url, `If-None-Match: ${etag}`);
    expect(response.status).toBe(200);
    expect(response.body.equals(changed)).toBe(true);
    expectHonestDigest(response);
    expect((await get(url, 'Range: bytes=0-9', `If-Range: ${etag}`)).status).toBe(200);
    expect((await get(url, `If-Match: ${etag}`)).status).toBe(412);
  });

  it('is served with its own digest when it was put there by hand', async () => {
    await writeFile(path.join(root, 'by-hand.bin'), 'by hand');
    const response = await get('/api/v1/files/by-hand.bin');
    expect(response.body.toString()).toBe('by hand');
    expectHonestDigest(response);
  });
});

/** Whatever digests the answer carries are of the very body. */
function expectHonestDigest(response: RawResponse): void {
  const actual = createHash('sha256').update(response.body).digest();
  expect([undefined, actual.toString('hex')]).toContain(response.header('X-Checksum-SHA256'));
  expect([undefined, `SHA-256=${actual.toString('base64')}`]).toContain(response.header('Digest'));
  expect([undefined, `sha-256=:${actual.toString('base64')}:`]).toContain(response.header('Repr-Digest'));
  expect(response.header('ETag')).not.toBe(etag);
}

/** Takes a multipart/byteranges body apart (RFC 9110 §14.6); the bytes of a part are found by its own Content-Range. */
function partsOf(body: Buffer, boundary: string): { range: string; body: Buffer }[] {
  const parts: { range: string; body: Buffer }[] = [];
  const delimiter = `--${boundary}`;
  let at = body.indexOf(delimiter);
  while (body.toString('latin1', at, at + delimiter.length + 2) === `${delimiter}\r\n`) {
    const end = body.indexOf('\r\n\r\n', at);
    const header = body.toString('latin1', at, end);
    const match = /^Content-Range: (bytes (\d+)-(\d+)\/\d+)$/m.exec(header);
    const size = Number(match?.[3]) - Number(match?.[2]) + 1;
    parts.push({ range: match?.[1] ?? header, body: body.subarray(end + 4, end + 4 + size) });
    at = end + 4 + size + 2;
  }
  expect(body.toString('latin1', at)).toBe(`${delimiter}--\r\n`);
  return parts;
}
