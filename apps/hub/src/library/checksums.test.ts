import { mkdir, open, stat, utimes, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { sha256Hex } from '@holdfast/bytes/sha256';
import type { ChecksumRecord } from '@holdfast/catalog/checksums';
import { endpoints } from '@holdfast/contract/endpoints';
import type { StorageFile } from '@holdfast/contract/files';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let params: { id: string };
beforeAll(async () => {
  hub = await startTestHub();
  params = { id: hub.backendId };
});
afterAll(() => hub[Symbol.asyncDispose]());

function record(path: string): Promise<ChecksumRecord | null> {
  return hub.context.catalog.checksums.get(params.id, path);
}

async function entry(path: string): Promise<StorageFile | undefined> {
  const { data } = await hub.call(endpoints.listFiles, {
    params,
    query: { path: path.slice(0, path.lastIndexOf('/')) || '/' },
  });
  return data.files.find((file) => file.path === path);
}

/** As a booting machine asks, which is what the hub answers from memory when it can. */
function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Response> {
  return hub.request(`/api/v1/files${path}`, { headers, method, key: null });
}

/** How many bytes the hub has read back to hash them. */
async function hashedBytes(): Promise<number> {
  const { values } = await hub.context.metrics.hashedBytes.get();
  return values[0]?.value ?? 0;
}

describe('a checksum record', () => {
  it('is there as soon as the upload is answered', async () => {
    await hub.upload('/new', 'bytes');
    expect((await entry('/new'))?.checksum_sha256).toBe(sha256Hex('bytes'));
  });

  it('follows a move, without the file being read again', async () => {
    await hub.upload('/move/a', 'moved');
    const before = await hashedBytes();
    await hub.call(endpoints.moveFile, {
      params,
      body: { source_path: '/move/a', destination_path: '/move/b' },
    });
    expect(await record('/move/a')).toBeNull();
    const answer = await get('/move/b');
    expect(answer.headers.get('etag')).toBe(`"sha256:${sha256Hex('moved')}"`);
    expect(await hashedBytes()).toBe(before);
  });

  it('follows the move of a folder, however deep, and no further', async () => {
    for (const path of ['/tree/a', '/tree/b/c', '/tree/b/d/e', '/tree-2/a']) await hub.upload(path, path);
    const before = await hashedBytes();
    await hub.call(endpoints.moveFile, {
      params,
      body: { source_path: '/tree', destination_path: '/grown' },
    });
    for (const path of ['/a', '/b/c', '/b/d/e']) {
      expect(await record(`/tree${path}`)).toBeNull();
      expect((await entry(`/grown${path}`))?.checksum_sha256).toBe(sha256Hex(`/tree${path}`));
    }
    expect((await entry('/tree-2/a'))?.checksum_sha256).toBe(sha256Hex('/tree-2/a'));
    expect(await hashedBytes()).toBe(before);
  });

  it('of a file that was moved over is replaced', async () => {
    await hub.upload('/over/a', 'the mover');
    await hub.upload('/over/b', 'the moved over');
    const body = { source_path: '/over/a', destination_path: '/over/b', overwrite: true };
    await hub.call(endpoints.moveFile, { params, body });
    expect((await record('/over/b'))?.sha256).toBe(sha256Hex('the mover'));
  });

  it('is made for a copy, and new for an overwrite', async () => {
    await hub.upload('/copied/a', 'one');
    await hub.call(endpoints.copyFile, {
      params,
      body: { source_path: '/copied/a', destination_path: '/copied/b' },
    });
    await hub.upload('/copied/a', 'two');
    expect((await record('/copied/a'))?.sha256).toBe(sha256Hex('two'));
    expect((await record('/copied/b'))?.sha256).toBe(sha256Hex('one'));
  });

  it('goes with its file, or with the folder above it', async () => {
    await hub.upload('/gone/a', 'a');
    await hub.upload('/gone/b/c', 'c');
    await hub.upload('/gone-not/a', 'a');
    await hub.call(endpoints.deleteFile, { params, query: { path: '/gone/a' } });
    expect(await record('/gone/a')).toBeNull();
    await hub.call(endpoints.deleteFile, { params, query: { path: '/gone', recursive: true } });
    expect(await record('/gone/b/c')).toBeNull();
    expect(await record('/gone-not/a')).not.toBeNull();
  });
});

describe('a file changed behind the hub, of the same size and time', () => {
  const time = new Date('2026-01-01T00:00:00Z');
  const former = 'former bytes';
  const latter = 'latter bytes';
  const formerTag = `"sha256:${sha256Hex(former)}"`;

  async function swap(path: string): Promise<void> {
    const before = await stat(`${hub.root}${path}`);
    const file = await open(`${hub.root}${path}`, 'r+');
    await file.write(latter, 0);
    await file.close();
    await utimes(`${hub.root}${path}`, time, time);
    const after = await stat(`${hub.root}${path}`);
    expect([after.size, after.ino, after.mtimeMs]).toEqual([before.size, before.ino, time.getTime()]);
  }

  async function prepare(path: string): Promise<void> {
    await hub.upload(path, former);
    await utimes(`${hub.root}${path}`, time, time);
    for (let reads = 0; reads < 3; reads++) expect((await get(path)).headers.get('etag')).toBe(formerTag);
    expect((await get(path, { 'if-none-match': formerTag })).status).toBe(304);
    await swap(path);
  }

  it('never answers with the old digest, also not from memory', async () => {
    await prepare('/swapped/get');
    for (let reads = 0; reads < 3; reads++) {
      const answer = await get('/swapped/get');
      expect(await answer.text()).toBe(latter);
      expect(answer.headers.get('x-checksum-sha256')).toBe(sha256Hex(latter));
    }
  });

  it('never answers 304 for the old ETag', async () => {
    await prepare('/swapped/condition');
    const answer = await get('/swapped/condition', { 'if-none-match': formerTag });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe(latter);
  });

  it('is not taken for the old one by If-Range, If-Match or HEAD', async () => {
    await prepare('/swapped/range');
    const ranged = await get('/swapped/range', { 'if-range': formerTag, range: 'bytes=0-3' });
    expect(ranged.status).toBe(200);
    expect((await get('/swapped/range', { 'if-match': formerTag })).status).toBe(412);
    expect((await get('/swapped/range', {}, 'HEAD')).headers.get('x-checksum-sha256')).toBe(
      sha256Hex(latter),
    );
  });

  it('is listed without the old digest', async () => {
    await prepare('/swapped/list');
    expect((await entry('/swapped/list'))?.checksum_sha256).toBeNull();
  });

  it('does not take its old digest along in a move', async () => {
    await prepare('/swapped/move');
    await hub.call(endpoints.moveFile, {
      params,
      body: { source_path: '/swapped/move', destination_path: '/swapped/moved' },
    });
    expect((await get('/swapped/moved')).headers.get('x-checksum-sha256')).toBe(sha256Hex(latter));
  });

  it('is not replaced by a writer who has read the old one', async () => {
    await prepare('/swapped/if-match');
    await expect(hub.upload('/swapped/if-match', 'x', { 'if-match': formerTag })).rejects.toThrow(
      'precondition_failed',
    );
  });
});

describe('a file that was there before the hub', () => {
  it('is hashed at its first read, once however many ask, and is then known', async () => {
    const bytes = Buffer.alloc(5 * 1024 * 1024, 'before the hub');
    await mkdir(`${hub.root}/found`);
    await writeFile(`${hub.root}/found/file`, bytes);
    expect((await entry('/found/file'))?.checksum_sha256).toBeNull();
    const before = await hashedBytes();
    const answers = await Promise.all(Array.from({ length: 6 }, () => get('/found/file', {}, 'HEAD')));
    expect(new Set(answers.map(({ headers }) => headers.get('x-checksum-sha256')))).toEqual(
      new Set([sha256Hex(bytes)]),
    );
    expect(await hashedBytes()).toBe(before + bytes.length);
    expect((await entry('/found/file'))?.checksum_sha256).toBe(sha256Hex(bytes));
  });

  it('larger than 64 MiB is served without a digest at first, and has it later', async () => {
    const size = 64 * 1024 * 1024 + 1;
    const file = await open(`${hub.root}/large`, 'w');
    await file.truncate(size); // sparse: it takes no room
    await file.close();
    const first = await get('/large', {}, 'HEAD');
    expect(first.status).toBe(200);
    expect(first.headers.get('content-length')).toBe(String(size));
    for (const name of ['etag', 'x-checksum-sha256', 'repr-digest', 'digest'])
      expect(first.headers.get(name), name).toBeNull();
    const known = await vi.waitUntil(() => record('/large'), { timeout: 25_000, interval: 20 });
    expect((await get('/large', {}, 'HEAD')).headers.get('x-checksum-sha256')).toBe(known.sha256);
    expect(known.sha256).toBe(sha256Hex(Buffer.alloc(size)));
  });

  it('gets its checksum when it is looked at in detail', async () => {
    await writeFile(`${hub.root}/detail`, 'detail');
    const { data } = await hub.call(endpoints.listFiles, { params, query: { path: '/detail' } });
    expect(data.files[0]?.checksum_sha256).toBeNull();
    const known = await vi.waitUntil(() => record('/detail'), { timeout: 25_000, interval: 20 });
    expect(known.sha256).toBe(sha256Hex('detail'));
  });

  it('is one of those that If-Match can be asked about', async () => {
    await writeFile(`${hub.root}/unknown`, 'unknown');
    const stored = await hub.upload('/unknown', 'next', { 'if-match': `"sha256:${sha256Hex('unknown')}"` });
    expect(stored.checksum_sha256).toBe(sha256Hex('next'));
  });
});

describe('a copy of a file that rotted', () => {
  it('fails, and neither claims the old digest', async () => {
    await hub.upload('/rotten/a', 'rotten');
    const good = await record('/rotten/a');
    if (good === null) throw new Error('the upload has left no record');
    await hub.context.catalog.checksums.put({ ...good, sha256: sha256Hex('sound') });
    const body = { source_path: '/rotten/a', destination_path: '/rotten/b' };
    expect(await hub.refusal(endpoints.copyFile, { params, body })).toMatchObject({
      code: 'checksum_mismatch',
    });
    const copied = await record(parseBackendPath('/rotten/b'));
    expect(copied?.sha256).not.toBe(sha256Hex('sound'));
  });
});
