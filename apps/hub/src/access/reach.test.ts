import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { openEvents } from '../testing/event-client.ts';
import { startTestHub, targetOf, type TestHub } from '../testing/test-hub.ts';

/** Everything that a key limited to `/a` of the default backend must not touch, by what is asked. */
const outside = [
  '/ab',
  '/ab/file',
  '/',
  '/b/file',
  '/A/file',
  '/a/../b/file',
  '//b//file',
  '/a%2f..%2fb',
  '/.holdfast/volume.json',
];

let hub: TestHub;
let otherBackend: string;
let token: string;

beforeAll(async () => {
  hub = await startTestHub();
  const config = { root: `${hub.dataDir}/other` };
  const { row } = await hub.context.backends.create({
    name: 'other',
    type: 'local',
    config,
    create: true,
  });
  otherBackend = row.id;
  const scopes = ['files:read', 'files:write', 'backends:read'];
  token = (await hub.issueKey({ name: 'limited', scopes, backend_id: hub.backendId, path_prefix: '/a' }))
    .token;
});
afterAll(() => hub[Symbol.asyncDispose]());
beforeEach(async () => {
  for (const path of ['/a/file', '/ab/file', '/b/file', '/a-b/file'])
    await hub.upload(path, `bytes of ${path}`);
});

/** Every way to touch a path, as the limited key. */
async function statusesOf(path: string, id = hub.backendId): Promise<Record<string, number>> {
  const params = { id };
  const calls: Record<string, Promise<Response>> = {
    list: hub.response(endpoints.listFiles, { params, query: { path }, key: token }),
    listRecursively: hub.response(endpoints.listFiles, {
      params,
      query: { path, recursive: true },
      key: token,
    }),
    download: hub.response(endpoints.downloadFile, { params, query: { path }, key: token }),
    upload: hub.request(targetOf(endpoints.uploadFile, params, { path }), {
      method: 'POST',
      body: 'x',
      key: token,
    }),
    delete: hub.response(endpoints.deleteFile, { params, query: { path, recursive: true }, key: token }),
    moveFrom: hub.response(endpoints.moveFile, {
      params,
      body: { source_path: path, destination_path: '/a/new' },
      key: token,
    }),
    moveTo: hub.response(endpoints.moveFile, {
      params,
      body: { source_path: '/a/file', destination_path: path },
      key: token,
    }),
    copyFrom: hub.response(endpoints.copyFile, {
      params,
      body: { source_path: path, destination_path: '/a/new' },
      key: token,
    }),
    copyTo: hub.response(endpoints.copyFile, {
      params,
      body: { source_path: '/a/file', destination_path: path },
      key: token,
    }),
    verify: hub.response(endpoints.verifyFiles, { params, body: { path, recursive: true }, key: token }),
    folder: hub.response(endpoints.createFolder, { params, body: { path }, key: token }),
  };
  const entries = await Promise.all(
    Object.entries(calls).map(async ([name, answer]) => [name, (await answer).status] as const),
  );
  return Object.fromEntries(entries);
}

describe('a key limited to a folder', () => {
  it.each(outside)('reaches %j by no endpoint', async (path) => {
    const statuses = await statusesOf(path);
    // a path that is refused for what it is says so before anything is looked at
    for (const [name, status] of Object.entries(statuses))
      expect([403, 422], `${name} of ${path}`).toContain(status);
    const { data } = await hub.call(endpoints.listFiles, {
      params: { id: hub.backendId },
      query: { recursive: true },
    });
    const files = data.files.filter(({ type }) => type === 'file').map((file) => file.path);
    expect(files).toEqual(expect.arrayContaining(['/a/file', '/ab/file', '/b/file', '/a-b/file']));
  });

  it('reaches what lies below its folder', async () => {
    const params = { id: hub.backendId };
    const { data: listed } = await hub.call(endpoints.listFiles, {
      params,
      query: { path: '/a' },
      key: token,
    });
    expect(listed.files.map(({ path }) => path)).toContain('/a/file');
    await hub.call(endpoints.createFolder, { params, body: { path: '/a/sub' }, key: token });
    await hub.call(endpoints.moveFile, {
      params,
      body: { source_path: '/a/file', destination_path: '/a/sub/file' },
      key: token,
    });
    const { data } = await hub.call(endpoints.deleteFile, {
      params,
      query: { path: '/a/sub', recursive: true },
      key: token,
    });
    expect(data.deleted).toBe(2);
  });

  it('does not tell whether a file outside exists', async () => {
    const params = { id: hub.backendId };
    const there = await hub.refusal(endpoints.downloadFile, {
      params,
      query: { path: '/b/file' },
      key: token,
    });
    const missing = await hub.refusal(endpoints.downloadFile, {
      params,
      query: { path: '/b/none' },
      key: token,
    });
    expect(missing.detail.replace('/b/none', '/b/file')).toBe(there.detail);
  });

  it('reaches nothing of another backend', async () => {
    const statuses = await statusesOf('/a/file', otherBackend);
    expect(new Set(Object.values(statuses))).toEqual(new Set([403]));
    expect(
      await hub.refusal(endpoints.getBackend, { params: { id: otherBackend }, key: token }),
    ).toMatchObject({ code: 'forbidden' });
    const { data, total } = await hub.call(endpoints.listBackends, { key: token });
    expect(data.map(({ id }) => id)).toEqual([hub.backendId]);
    expect(total).toBe(1);
  });

  it('removes of a batch only what is its own', async () => {
    const body = { paths: ['/ab/file', '/a/file', '/', '/b/file'] };
    const { data } = await hub.call(endpoints.deleteFiles, {
      params: { id: hub.backendId },
      body,
      key: token,
    });
    expect(data.deleted).toBe(1);
    expect(data.failed.map(({ path, code }) => [path, code])).toEqual([
      ['/ab/file', 'forbidden'],
      ['/', 'forbidden'],
      ['/b/file', 'forbidden'],
    ]);
  });

  it('starts no backfill beyond its folder', async () => {
    for (const body of [{}, { backend_id: hub.backendId }, { backend_id: otherBackend }]) {
      expect(await hub.refusal(endpoints.backfillChecksums, { body, key: token })).toMatchObject({
        code: 'forbidden',
      });
    }
  });

  it('reads boot files inside its folder alone, when it is sent', async () => {
    expect((await hub.request('/api/v1/files/a/file', { key: token })).status).toBe(200);
    expect((await hub.request('/api/v1/files/ab/file', { key: token })).status).toBe(403);
    expect((await hub.request('/api/v1/files//b/file', { key: token })).status).toBe(403);
  });

  it('hears of nothing outside', async () => {
    await using client = await openEvents(hub, { key: token });
    await hub.upload('/ab/heard', '1');
    await hub.call(endpoints.deleteFile, { params: { id: hub.backendId }, query: { path: '/ab/heard' } });
    await hub.call(endpoints.testBackend, { params: { id: otherBackend } });
    await hub.upload('/a/heard', '2');
    await client.first((event) => event.type === 'file.changed' && event.path === '/a/heard');
    await hub.upload('/a/marker', '3');
    await client.first((event) => event.type === 'file.changed' && event.path === '/a/marker');
    expect(client.received.map((event) => ('path' in event ? event.path : event.type))).toEqual([
      '/a/heard',
      '/a/marker',
    ]);
  });

  it('sees its own operations alone', async () => {
    const target = targetOf(endpoints.uploadFile, { id: hub.backendId }, { path: '/a/own' });
    await hub.request(target, { method: 'POST', body: 'x', key: token });
    const { data } = await hub.call(endpoints.listOperations, { key: token });
    expect(new Set(data.map(({ actor }) => actor))).toEqual(new Set(['limited']));
    const { data: all } = await hub.call(endpoints.listOperations);
    const foreign = all.find(({ actor }) => actor === 'environment');
    const params = { id: foreign?.operation_id ?? '' };
    expect(await hub.refusal(endpoints.getOperation, { params, key: token })).toMatchObject({
      code: 'operation_not_found',
    });
  });
});

describe('a key limited to a whole backend', () => {
  it('reaches its root and backfills it', async () => {
    const { token: whole } = await hub.issueKey({
      scopes: ['files:read', 'files:write'],
      backend_id: otherBackend,
    });
    const params = { id: otherBackend };
    await hub.call(endpoints.listFiles, { params, query: { recursive: true }, key: whole });
    const { data } = await hub.call(endpoints.backfillChecksums, {
      body: { backend_id: otherBackend },
      key: whole,
    });
    expect((await hub.finished(data.operation_id)).success).toBe(true);
    expect(await hub.refusal(endpoints.backfillChecksums, { body: {}, key: whole })).toMatchObject({
      code: 'forbidden',
    });
    expect(
      await hub.refusal(endpoints.listFiles, { params: { id: hub.backendId }, key: whole }),
    ).toMatchObject({ code: 'forbidden' });
  });
});
