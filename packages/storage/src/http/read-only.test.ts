import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { startApache } from '@holdfast/test-support/apache';
import type { Apache } from '@holdfast/test-support/apache';
import { startWebdavNginx } from '@holdfast/test-support/webdav-nginx';
import type { WebdavNginx } from '@holdfast/test-support/webdav-nginx';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StorageBackend } from '../backend.ts';
import { bytesAt, chunksOf, readAll, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal } from '../conformance/subject.ts';
import { createHttpBackend, prepareHttp } from '../http.ts';
import type { HttpConfig } from '../http.ts';

const bytes = sampleBytes(700_001);
const token = 'token.of-the+test/1=';
const tree = ['a-b', 'a/b c', 'a/sub/100% "<é>&', 'a.b', 'image.iso', 'empty/x', '文件.iso'];

async function plant(root: string): Promise<void> {
  for (const path of tree) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), bytes);
  }
  await mkdir(join(root, 'none'));
}

let nginx: WebdavNginx;
let apache: Apache;
const backends: StorageBackend[] = [];
beforeAll(async () => {
  [nginx, apache] = await Promise.all([startWebdavNginx({ bearerToken: token }), startApache()]);
  await Promise.all([plant(nginx.root), plant(apache.root)]);
});
afterAll(async () => {
  for (const backend of backends) await backend[Symbol.asyncDispose]();
  await nginx[Symbol.asyncDispose]();
  await apache[Symbol.asyncDispose]();
});

async function open(config: HttpConfig): Promise<StorageBackend> {
  const { volumeId } = await prepareHttp(config);
  const backend = createHttpBackend({ ...config, volumeId, ownerId: 'hub-1' });
  backends.push(backend);
  return backend;
}

const jsonConfig = (): HttpConfig => ({
  base_url: `http://127.0.0.1:${nginx.ports.json}`,
  auth_method: 'bearer',
  password: token,
});
const htmlConfig = (): HttpConfig => ({ base_url: `http://127.0.0.1:${nginx.ports.html}` });
const apacheConfig = (): HttpConfig => ({ base_url: `http://127.0.0.1:${apache.ports.html}/` });
const davConfig = (): HttpConfig => ({ base_url: `http://127.0.0.1:${apache.ports.dav}/` });

describe.each([
  ['nginx with a JSON index and a bearer token', jsonConfig],
  ['nginx with an HTML index', htmlConfig],
  ['Apache with an HTML index', apacheConfig],
  ['Apache with WebDAV', davConfig],
])('a read-only backend on %s', (_name, config) => {
  it('says what it can, and passes its checks', async () => {
    const backend = await open(config());
    expect(backend.capabilities).toEqual({
      writable: false,
      move: false,
      copy: false,
      folders: false,
      usage: false,
      positionalRead: false,
    });
    expect([backend.move, backend.copy, backend.makeFolder, backend.usage]).toEqual(Array(4).fill(undefined));
    const report = await backend.probe();
    expect(report.checks.filter((check) => !check.ok)).toEqual([]);
    expect(report.checks.map((check) => check.name)).toEqual([
      'resolve',
      'connect',
      'authenticate',
      'collection',
      'volume',
      'list',
    ]);
    expect(await backend.sweep()).toEqual({ removed: 0, bytes: 0 });
  });

  it('lists the root, folders and the whole tree', async () => {
    const backend = await open(config());
    const top = await backend.list(ROOT, { limit: 1000 });
    const names = ['a', 'a-b', 'a.b', 'empty', 'image.iso', 'none', '文件.iso'];
    expect(top.entries.map((entry) => entry.name)).toEqual(names.toSorted());
    expect(top.total).toBe(names.length);
    const all = await backend.list(ROOT, { recursive: true, limit: 1000 });
    const expected = [...tree, 'a', 'a/sub', 'empty', 'none'].map((path) => `/${path}`).toSorted();
    expect(all.entries.map((entry) => entry.path)).toEqual(expected);
    expect((await backend.list(parseBackendPath('/none'))).entries).toEqual([]);
    for (const entry of all.entries.filter((one) => one.type === 'file')) {
      expect(entry.size).toBe(bytes.byteLength);
      expect(await backend.stat(entry.path)).toEqual(entry);
    }
    expect((await backend.stat(parseBackendPath('/a/sub'))).type).toBe('directory');
    await refusal(backend.list(parseBackendPath('/missing')), 'file_not_found');
    await refusal(backend.list(parseBackendPath('/a-b')), 'not_a_directory');
  });

  it('reads files and ranges of them', async () => {
    const backend = await open(config());
    for (const path of tree) {
      expect((await bytesAt(backend, parseBackendPath(path))).equals(bytes)).toBe(true);
    }
    await using file = await backend.open(parseBackendPath('/a/sub/100% "<é>&'));
    expect(await readAll(file, { start: 300_000, end: 600_001 })).toEqual(bytes.subarray(300_000, 600_001));
    expect(await file.revalidate()).toEqual(file.entry);
    await refusal(backend.open(parseBackendPath('/missing')), 'file_not_found');
    await refusal(backend.open(parseBackendPath('/a')), 'is_a_directory');
  });

  it('refuses to write and to remove', async () => {
    const backend = await open(config());
    await refusal(backend.write(parseBackendPath('/new'), chunksOf(bytes)), 'read_only');
    await refusal(backend.remove(parseBackendPath('/a-b')), 'read_only');
    expect(sha256Hex(await bytesAt(backend, parseBackendPath('/a-b')))).toBe(sha256Hex(bytes));
  });
});

it('has one and the same volume id for one address, another for another', async () => {
  const [one, again, other] = [
    await prepareHttp(htmlConfig()),
    await prepareHttp(htmlConfig()),
    await prepareHttp(apacheConfig()),
  ];
  expect(again).toEqual(one);
  expect(other).not.toEqual(one);
  expect(one.volumeId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

describe('redirects', () => {
  it('are followed within the origin', async () => {
    const backend = await open({ base_url: `http://127.0.0.1:${nginx.ports.html}/moved/`, listing: 'none' });
    expect(await bytesAt(backend, parseBackendPath('/image.iso'))).toEqual(bytes);
  });

  it('are refused to elsewhere, unless that is allowed', async () => {
    const config: HttpConfig = { base_url: `http://127.0.0.1:${nginx.ports.html}/abroad/`, listing: 'none' };
    const error = await refusal(prepareHttp(config), 'validation_failed');
    expect(error.errors?.[0]?.field).toBe('config.base_url');
    expect(error.message).toContain(`http://127.0.0.1:${nginx.ports.json}`);
    // The origin is allowed now, and is met without the credentials that it asks for.
    const allowed = { ...config, allow_redirects_to: [`http://127.0.0.1:${nginx.ports.json}`] };
    const refused = await refusal(
      prepareHttp({ ...allowed, auth_method: 'bearer', password: token }),
      'validation_failed',
    );
    expect(refused.errors?.[0]?.field).toBe('config.password');
  });
});
