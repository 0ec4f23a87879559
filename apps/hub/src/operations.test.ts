import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import type { Operation } from '@holdfast/contract/operations';
import { startTestHub, targetOf, type TestHub } from './testing/test-hub.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

async function list(query: Record<string, string | number | boolean>, key?: string): Promise<Operation[]> {
  return (await hub.call(endpoints.listOperations, { query, ...(key === undefined ? {} : { key }) })).data;
}

describe('the operation log', () => {
  it('has a line for each change, by whom and to what, newest first', async () => {
    const params = { id: hub.backendId };
    const paths = { source_path: '/log/a', destination_path: '/log/b' };
    await hub.upload('/log/a', 'four');
    await hub.call(endpoints.copyFile, { params, body: paths });
    await hub.call(endpoints.deleteFile, { params, query: { path: '/log/b' } });
    await hub.call(endpoints.moveFile, { params, body: paths });
    await hub.call(endpoints.createFolder, { params, body: { path: '/log/folder' } });
    const lines = await list({ limit: 5 });
    const times = lines.map(({ started_at }) => started_at);
    expect(times).toEqual(times.toSorted().toReversed());
    const shown = lines.map(({ operation, file, bytes, details }) => ({ operation, file, bytes, details }));
    expect(shown).toHaveLength(5);
    expect(shown).toEqual(
      expect.arrayContaining([
        { operation: 'upload', file: '/log/a', bytes: 4, details: { sha256: sha256Hex('four') } },
        {
          operation: 'metadata_change',
          file: '/log/a',
          bytes: 4,
          details: { action: 'copy', destination: '/log/b' },
        },
        { operation: 'delete', file: '/log/b', bytes: 0, details: { removed: 1 } },
        {
          operation: 'metadata_change',
          file: '/log/a',
          bytes: 0,
          details: { action: 'move', destination: '/log/b' },
        },
        { operation: 'metadata_change', file: '/log/folder', bytes: 0, details: { action: 'make_folder' } },
      ]),
    );
    for (const line of lines) {
      expect(line).toMatchObject({
        actor: 'environment',
        backend_id: params.id,
        state: 'finished',
        success: true,
        error: null,
      });
    }
  });

  it('has the failed ones too, with the code of the refusal', async () => {
    const params = { id: hub.backendId };
    await expect(
      hub.upload('/failed', 'x', { 'x-expected-checksum-sha256': sha256Hex('y') }),
    ).rejects.toThrow('422');
    await hub.refusal(endpoints.deleteFile, { params, query: { path: '/not/there' } });
    await hub.refusal(endpoints.moveFile, {
      params,
      body: { source_path: '/not/there', destination_path: '/b' },
    });
    const lines = await list({ success: false, limit: 3 });
    expect(lines.map(({ operation, error }) => `${operation}: ${error?.code}`).toSorted()).toEqual([
      'delete: file_not_found',
      'metadata_change: file_not_found',
      'upload: checksum_mismatch',
    ]);
    const upload = lines.find(({ operation }) => operation === 'upload');
    expect(upload).toMatchObject({ file: '/failed', success: false, bytes: 0, error: { retryable: false } });
  });

  it('is filtered by what is asked', async () => {
    await hub.upload('/filter/a', 'a');
    await hub.upload('/filter/b', 'b');
    const [second] = await list({ file: '/filter/b' });
    await hub.call(endpoints.deleteFile, { params: { id: hub.backendId }, query: { path: '/filter/a' } });
    expect((await list({ file: '/filter/a' })).map(({ operation }) => operation)).toEqual([
      'delete',
      'upload',
    ]);
    expect(
      (await list({ file: '/filter/a', operation: 'upload' })).map(({ operation }) => operation),
    ).toEqual(['upload']);
    expect(await list({ file: '/filter/a', success: false })).toEqual([]);
    expect(await list({ file: '/filter' })).toEqual([]);
    const since = await list({ since: second?.started_at ?? '' });
    expect(since.length).toBeGreaterThanOrEqual(2);
    expect(since.at(-1)?.started_at).toBe(second?.started_at);
    expect(await list({ since: '2100-01-01T00:00:00+01:00' })).toEqual([]);
  });

  it.each<[Record<string, string>, string]>([
    [{ operation: 'dance' }, 'operation'],
    [{ success: 'maybe' }, 'success'],
    [{ since: 'yesterday' }, 'since'],
    [{ limit: '0' }, 'limit'],
    [{ file: '' }, 'file'],
    [{ cursor: 'made-up' }, 'cursor'],
  ])('refuses the filter %j by its name', async (query, field) => {
    const refused = await hub.refusal(endpoints.listOperations, { query });
    expect(refused.code).toBe(field === 'cursor' ? 'invalid_request' : 'validation_failed');
    expect(refused.errors).toMatchObject([{ field }]);
  });

  it('comes in pages, each line once, also while new ones are added', async () => {
    for (let index = 0; index < 7; index++) await hub.upload(`/paged/${index}`, 'x');
    const whole = (await list({ limit: 1000, operation: 'upload' })).map(({ operation_id }) => operation_id);
    const paged: string[] = [];
    let cursor: string | undefined;
    do {
      const query = { limit: 3, operation: 'upload', ...(cursor === undefined ? {} : { cursor }) };
      const page = await hub.call(endpoints.listOperations, { query });
      expect(page.data.length).toBeLessThanOrEqual(3);
      paged.push(...page.data.map(({ operation_id }) => operation_id));
      cursor = page.next_cursor;
      await hub.upload('/paged/meanwhile', String(paged.length));
    } while (cursor !== undefined);
    expect(paged).toEqual(whole);
  });

  it('shows a key without admin what it did itself, by list and by id', async () => {
    const { token } = await hub.issueKey({ name: 'uploader', scopes: ['files:write'] });
    await hub.upload('/foreign', 'x');
    const target = targetOf(endpoints.uploadFile, { id: hub.backendId }, { path: '/own' });
    expect((await hub.request(target, { method: 'POST', body: 'x', key: token })).status).toBe(201);
    const page = await hub.call(endpoints.listOperations, { key: token });
    expect(page.total).toBe(1);
    expect(page.data).toMatchObject([{ file: '/own', actor: 'uploader' }]);
    const id = page.data[0]?.operation_id ?? '';
    expect((await hub.call(endpoints.getOperation, { params: { id }, key: token })).data.file).toBe('/own');
    const [foreign] = await list({ file: '/foreign' });
    const params = { id: foreign?.operation_id ?? '' };
    expect(await hub.refusal(endpoints.getOperation, { params, key: token })).toMatchObject({
      code: 'operation_not_found',
    });
    expect(await hub.refusal(endpoints.getOperation, { params: { id: 'none' } })).toMatchObject({
      code: 'operation_not_found',
    });
  });
});

describe('downloads', () => {
  it('of one file by one client become one line', async () => {
    await using own = await startTestHub();
    await own.upload('/boot.iso', 'x'.repeat(1000));
    for (let start = 0; start < 1000; start += 100) {
      const headers = { range: `bytes=${start}-${start + 99}` };
      expect((await own.request('/api/v1/files/boot.iso', { key: null, headers })).status).toBe(206);
    }
    await own.restart(); // whoever stops, writes down what is still going on
    const { data } = await own.call(endpoints.listOperations, { query: { operation: 'download' } });
    expect(data).toMatchObject([
      {
        file: '/boot.iso',
        actor: 'anonymous',
        bytes: 1000,
        success: true,
        details: { client: '127.0.0.1', requests: 10 },
      },
    ]);
  });
});

describe('what a crash has left running', () => {
  it('is closed at the next start, that of other hubs excepted', async () => {
    await using own = await startTestHub();
    const { operations } = own.context.catalog;
    const hubId = (await readFile(`${own.dataDir}/hub.id`, 'utf8')).trim();
    const [mine, foreign] = [randomUUID(), randomUUID()];
    const details = { path: '/', files_checked: 3 };
    await operations.insert({ id: mine, operation: 'verify', hubId, file: '/', bytes: 30, details });
    await operations.insert({ id: foreign, operation: 'verify', hubId: randomUUID() });
    await own.restart();
    const { data } = await own.call(endpoints.getOperation, { params: { id: mine } });
    expect(data).toMatchObject({
      state: 'finished',
      success: false,
      error: { code: 'shutting_down', retryable: true },
      bytes: 30,
      details,
    });
    expect(data.finished_at).not.toBeNull();
    expect((await own.call(endpoints.getOperation, { params: { id: foreign } })).data.state).toBe('running');
  });

  it('leaves nothing unwritten when the hub stops in good order', async () => {
    await using own = await startTestHub();
    await own.upload('/last', 'words');
    await own.drain();
    await own.restart();
    const { data } = await own.call(endpoints.listOperations, { query: { file: '/last' } });
    expect(data).toHaveLength(1);
  });
});
