import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isHoldfastError } from '@holdfast/contract/errors';
import { startHub, type HubUnderTest } from '@holdfast/test-support/hub';
import { createClient, type HubClient } from './client.ts';

describe('a client of a hub', () => {
  let hub: HubUnderTest;
  let client: HubClient;
  let id: string;
  beforeAll(async () => {
    hub = await startHub();
    client = createClient({ url: `${hub.url}/`, apiKey: hub.adminKey });
    const { data } = await client.call('listBackends');
    id = data[0]?.id ?? '';
  });
  afterAll(async () => hub[Symbol.asyncDispose]());

  it('takes the envelope off: one thing is itself, a list keeps its total', async () => {
    expect((await client.call('listBackends')).total).toBe(1);
    expect((await client.call('getBackend', { params: { id } })).name).toBe('default');
    expect((await client.call('getUploadLimits')).backend_id).toBe(id);
  });

  it('stores bytes and reads them back', async () => {
    const path = '/a folder/ä?&#%.bin';
    const stored = await client.call('uploadFile', { params: { id }, query: { path }, body: 'hello' });
    expect(stored.path).toBe(path);
    const answer = await client.raw('downloadFile', {
      params: { id },
      query: { path },
      headers: { range: 'bytes=1-3' },
    });
    expect([answer.status, await answer.text()]).toEqual([206, 'ell']);
  });

  it('goes through all pages of a list', async () => {
    const paths = Array.from({ length: 7 }, (_, index) => `/paged/${index}`);
    for (const path of paths)
      await client.call('uploadFile', { params: { id }, query: { path }, body: path });
    const found: string[] = [];
    for await (const file of client.all('listFiles', { params: { id }, query: { path: '/paged', limit: 3 } }))
      found.push(file.path);
    expect(found).toEqual(paths);
  });

  it('goes through all pages of a list that has no total', async () => {
    const paths = Array.from({ length: 5 }, (_, index) => `/same/${index}`);
    for (const path of paths)
      await client.call('uploadFile', { params: { id }, query: { path }, body: 'the same' });
    const sha256 = createHash('sha256').update('the same').digest('hex');
    const first = await client.call('findFiles', { query: { sha256, limit: 2 } });
    expect([first.data.length, typeof first.next_cursor]).toEqual([2, 'string']);
    const found: string[] = [];
    for await (const file of client.all('findFiles', { query: { sha256, limit: 2 } })) found.push(file.path);
    expect(found.toSorted()).toEqual(paths);
  });

  it('throws what the hub says: its code, its sentence, the refused fields', async () => {
    const failure = await client
      .call('createBackend', { body: { name: '', type: 'local', config: { root: '/x' } } })
      .catch((error: unknown) => error);
    expect(isHoldfastError(failure, 'validation_failed') && failure.errors?.[0]?.field).toBe('name');
    await expect(
      client.raw('downloadFile', { params: { id }, query: { path: '/none' } }),
    ).rejects.toMatchObject({
      code: 'file_not_found',
      status: 404,
    });
    const stranger = createClient({ url: hub.url });
    await expect(stranger.call('listBackends')).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('refuses what is no URL of a hub', () => {
    for (const url of ['hub', 'ftp://hub', 'http://hub/?a=b', 'http://ada:secret@hub', ''])
      expect(() => createClient({ url })).toThrow(/is not the URL of a hub/);
  });
});
