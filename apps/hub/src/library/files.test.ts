import { mkdir, rm } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
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
beforeEach(async () => {
  await rm(`${hub.root}/t`, { recursive: true, force: true });
});

async function list(query: Record<string, string | number | boolean>): Promise<StorageFile[]> {
  return (await hub.call(endpoints.listFiles, { params, query })).data.files;
}

async function read(path: string): Promise<string> {
  const answer = await hub.response(endpoints.downloadFile, { params, query: { path } });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.text();
}

function move(source_path: string, destination_path: string, overwrite = false): Promise<Response> {
  return hub.response(endpoints.moveFile, { params, body: { source_path, destination_path, overwrite } });
}

function copy(source_path: string, destination_path: string, overwrite = false): Promise<Response> {
  return hub.response(endpoints.copyFile, { params, body: { source_path, destination_path, overwrite } });
}

describe('a listing', () => {
  it('tells files with their checksum and folders with their children', async () => {
    await hub.upload('/t/a.txt', 'a');
    await hub.upload('/t/folder/one', '1');
    await hub.upload('/t/folder/two', '2');
    expect(await list({ path: '/t' })).toMatchObject([
      {
        path: '/t/a.txt',
        type: 'file',
        size: 1,
        checksum_sha256: sha256Hex('a'),
        mime_type: 'text/plain; charset=utf-8',
        item_count: null,
      },
      {
        path: '/t/folder',
        type: 'directory',
        size: 0,
        checksum_sha256: null,
        mime_type: null,
        item_count: 2,
      },
    ]);
  });

  it.each([[false], [true]])('comes whole in pages, each entry once (recursive: %s)', async (recursive) => {
    await Promise.all(
      Array.from({ length: 23 }, (_, index) =>
        hub.upload(`/t/${index % 3}/${index % 2}/file-${index}`, String(index)),
      ),
    );
    await Promise.all(Array.from({ length: 9 }, (_, index) => hub.upload(`/t/flat-${index}`, String(index))));
    const whole = (await list({ path: '/t', recursive, limit: 1000 })).map(({ path }) => path);
    const paged: string[] = [];
    let cursor: string | undefined;
    do {
      const query = { path: '/t', recursive, limit: 5, ...(cursor === undefined ? {} : { cursor }) };
      const { data } = await hub.call(endpoints.listFiles, { params, query });
      expect(data.files.length).toBeLessThanOrEqual(5);
      paged.push(...data.files.map(({ path }) => path));
      cursor = data.next_cursor;
    } while (cursor !== undefined);
    expect(paged).toEqual(whole);
    expect(new Set(paged).size).toBe(recursive ? 23 + 9 + 3 + 6 : 3 + 9);
  });

  it('of a file is that file', async () => {
    await hub.upload('/t/a', 'a');
    const { data } = await hub.call(endpoints.listFiles, { params, query: { path: '/t/a' } });
    expect(data).toMatchObject({
      path: '/t/a',
      total: 1,
      files: [{ path: '/t/a', checksum_sha256: sha256Hex('a') }],
    });
  });

  it('hides the reserved area', async () => {
    const all = await list({ recursive: true, limit: 1000 });
    expect(all.filter(({ path }) => path.startsWith('/.holdfast'))).toEqual([]);
    expect(await hub.refusal(endpoints.listFiles, { params, query: { path: '/.holdfast' } })).toMatchObject({
      code: 'invalid_path',
    });
  });

  it.each<[Record<string, string | number>, string, number]>([
    [{ path: '/t/none' }, 'file_not_found', 404],
    [{ path: '/t/../..' }, 'invalid_path', 422],
    [{ limit: 0 }, 'validation_failed', 422],
    [{ limit: 1001 }, 'validation_failed', 422],
    [{ recursive: 'yes' }, 'validation_failed', 422],
    [{ cursor: 'not-a-cursor' }, 'validation_failed', 422],
  ])('with %j is refused', async (query, code, status) => {
    const refused = await hub.refusal(endpoints.listFiles, { params, query });
    expect(refused).toMatchObject({ code, status });
  });
});

describe('a move', () => {
  it('takes a file, or a folder with all it holds, to its new path', async () => {
    await hub.upload('/t/a', 'a');
    await hub.upload('/t/folder/deep/b', 'b');
    expect((await move('/t/a', '/t/new/a')).status).toBe(200);
    expect((await move('/t/folder', '/t/moved')).status).toBe(200);
    expect(await read('/t/new/a')).toBe('a');
    expect(await read('/t/moved/deep/b')).toBe('b');
    expect((await list({ path: '/t', recursive: true })).map(({ path }) => path)).toEqual([
      '/t/moved',
      '/t/moved/deep',
      '/t/moved/deep/b',
      '/t/new',
      '/t/new/a',
    ]);
  });

  it('replaces a file only when it is told to', async () => {
    await hub.upload('/t/a', 'a');
    await hub.upload('/t/b', 'b');
    expect(await (await move('/t/a', '/t/b')).json()).toMatchObject({ code: 'already_exists', status: 409 });
    expect(await read('/t/b')).toBe('b');
    expect((await move('/t/a', '/t/b', true)).status).toBe(200);
    expect(await read('/t/b')).toBe('a');
  });

  it.each([
    ['of what is not there', '/t/none', '/t/b', 'file_not_found'],
    ['of the root', '/', '/t/b', 'invalid_path'],
    ['of a folder into itself', '/t/folder', '/t/folder/in', 'invalid_path'],
    ['into the reserved area', '/t/a', '/.holdfast/a', 'invalid_path'],
    ['below a file', '/t/a', '/t/b/c', 'not_a_directory'],
  ])('%s is refused', async (_, source, destination, code) => {
    await hub.upload('/t/a', 'a');
    await hub.upload('/t/b', 'b');
    await hub.upload('/t/folder/c', 'c');
    expect(await (await move(source, destination)).json()).toMatchObject({ code });
    expect(await read('/t/a')).toBe('a');
  });
});

describe('a copy', () => {
  it('leaves the original, and replaces a file only when it is told to', async () => {
    await hub.upload('/t/a', 'a');
    await hub.upload('/t/b', 'b');
    expect(await (await copy('/t/a', '/t/c')).json()).toMatchObject({
      data: { path: '/t/c', checksum_sha256: sha256Hex('a') },
    });
    expect(await (await copy('/t/a', '/t/b')).json()).toMatchObject({ code: 'already_exists' });
    expect(await read('/t/b')).toBe('b');
    expect((await copy('/t/a', '/t/b', true)).status).toBe(200);
    expect([await read('/t/a'), await read('/t/b'), await read('/t/c')]).toEqual(['a', 'a', 'a']);
  });

  it('of a folder is refused', async () => {
    await hub.upload('/t/folder/a', 'a');
    expect(await (await copy('/t/folder', '/t/other')).json()).toMatchObject({ code: 'is_a_directory' });
  });
});

describe('a delete', () => {
  it('of a folder needs recursive, and never takes the root', async () => {
    await hub.upload('/t/folder/a', 'a');
    expect(await hub.refusal(endpoints.deleteFile, { params, query: { path: '/t/folder' } })).toMatchObject({
      code: 'not_empty',
    });
    const { data } = await hub.call(endpoints.deleteFile, {
      params,
      query: { path: '/t/folder', recursive: true },
    });
    expect(data.deleted).toBe(2);
    expect(
      await hub.refusal(endpoints.deleteFile, { params, query: { path: '/', recursive: true } }),
    ).toMatchObject({ code: 'invalid_path' });
    expect(await hub.refusal(endpoints.deleteFile, { params, query: { path: '/t/folder' } })).toMatchObject({
      code: 'file_not_found',
    });
  });

  it('of many paths tells each that could not be removed, and why', async () => {
    await hub.upload('/t/a', 'a');
    await hub.upload('/t/folder/b', 'b');
    await mkdir(`${hub.root}/t/empty`);
    const body = { paths: ['/t/a', '/t/none', '/t/folder', '/t/empty', '/../etc', '/t/a'] };
    const { data } = await hub.call(endpoints.deleteFiles, { params, body });
    expect(data.deleted).toBe(2);
    expect(data.failed.map(({ path, code }) => [path, code])).toEqual([
      ['/t/none', 'file_not_found'],
      ['/t/folder', 'not_empty'],
      ['/../etc', 'invalid_path'],
      ['/t/a', 'file_not_found'],
    ]);
    expect(data.failed.every(({ detail }) => detail.length > 10)).toBe(true);
  });
});

describe('a folder', () => {
  it('is made with its parents, once', async () => {
    const { data } = await hub.call(endpoints.createFolder, { params, body: { path: '/t/x/y' } });
    expect(data).toMatchObject({ path: '/t/x/y', type: 'directory', item_count: 0 });
    expect(await hub.refusal(endpoints.createFolder, { params, body: { path: '/t/x/y' } })).toMatchObject({
      code: 'already_exists',
    });
    await hub.upload('/t/file', 'x');
    expect((await hub.refusal(endpoints.createFolder, { params, body: { path: '/t/file' } })).status).toBe(
      409,
    );
  });

  it('is neither downloaded nor replaced by a file', async () => {
    await mkdir(`${hub.root}/t/folder`, { recursive: true });
    expect(await hub.refusal(endpoints.downloadFile, { params, query: { path: '/t/folder' } })).toMatchObject(
      { code: 'is_a_directory' },
    );
    await expect(hub.upload('/t/folder', 'x')).rejects.toThrow('is_a_directory');
  });
});
