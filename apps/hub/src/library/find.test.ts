import { afterAll, beforeAll, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

const bytes = 'the same bytes';
const sha256 = sha256Hex(bytes);

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
  for (const path of ['/a/one', '/ab', '/a/two', '/b']) await hub.upload(path, bytes);
  await hub.upload('/other', 'other bytes');
});
afterAll(() => hub[Symbol.asyncDispose]());

async function pathsFor(key?: string): Promise<string[]> {
  const sender = key === undefined ? {} : { key };
  const { data } = await hub.call(endpoints.findFiles, { query: { sha256 }, ...sender });
  return data.map(({ path }) => path);
}

it('lists the files that have a SHA-256, page by page', async () => {
  const first = await hub.call(endpoints.findFiles, { query: { sha256, limit: 3 } });
  expect(first.data).toHaveLength(3);
  expect(first.data[0]).toMatchObject({
    backend_id: hub.backendId,
    backend_name: 'default',
    path: '/a/one',
    size: bytes.length,
  });
  const cursor = first.next_cursor ?? '';
  const rest = await hub.call(endpoints.findFiles, { query: { sha256, limit: 3, cursor } });
  expect([...first.data, ...rest.data].map(({ path }) => path)).toEqual(['/a/one', '/a/two', '/ab', '/b']);
  expect(rest.next_cursor).toBeUndefined();
});

it('lists nothing for bytes that no file has', async () => {
  const { data } = await hub.call(endpoints.findFiles, { query: { sha256: sha256Hex('nobody has these') } });
  expect(data).toEqual([]);
});

it('lists only what is within the reach of the key', async () => {
  const limits = { scopes: ['files:read'], backend_id: hub.backendId };
  expect(await pathsFor((await hub.issueKey(limits)).token)).toHaveLength(4);
  const inFolder = await hub.issueKey({ ...limits, path_prefix: '/a' });
  expect(await pathsFor(inFolder.token)).toEqual(['/a/one', '/a/two']);
  const { row } = await hub.context.backends.create({
    name: 'elsewhere',
    type: 'local',
    config: { root: `${hub.dataDir}/elsewhere` },
    create: true,
  });
  const elsewhere = await hub.issueKey({ scopes: ['files:read'], backend_id: row.id });
  expect(await pathsFor(elsewhere.token)).toEqual([]);
});
