import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { keepFile, keepFiles, principalOf } from './testing/kept-files.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

/** The paths that a list answers with. */
async function pathsOf(query: Record<string, string | number>, key?: string): Promise<string[]> {
  const { files, total } = await hub.call(endpoints.listHostFiles, {
    query,
    ...(key === undefined ? {} : { key }),
  });
  expect(total).toBe(files.length);
  return files.map(({ hostname, filepath }) => `${hostname}:${filepath}`);
}

describe('versions', () => {
  it('keeps what a file was, and shows the newest', async () => {
    await keepFile(hub, { hostname: 'versions', filepath: '/a', bytes: 'one', mode: 0o600 });
    const mtime = new Date('2024-02-29T12:00:00.123Z');
    const second = await keepFile(hub, {
      hostname: 'versions',
      filepath: '/a',
      bytes: 'two',
      mtime,
      mode: 0o4755,
    });

    const current = await hub.call(endpoints.listHostFiles, { query: { hostname: 'versions' } });
    expect(current.files).toEqual([
      {
        file_id: second.id,
        hostname: 'versions',
        filepath: '/a',
        sha256: sha256Hex('two'),
        file_size: 3,
        mtime: '2024-02-29T12:00:00.123Z',
        mode: 0o4755,
        version: 2,
        is_current: true,
        status: 'active',
        deleted_at: null,
        restorable_until: null,
        uploaded_by: second.actor,
        created_at: second.createdAt.toISOString(),
      },
    ]);
    const all = await hub.call(endpoints.listHostFiles, { query: { hostname: 'versions', versions: 'all' } });
    expect(all.files.map(({ version, is_current, sha256 }) => [version, is_current, sha256])).toEqual([
      [2, true, sha256Hex('two')],
      [1, false, sha256Hex('one')],
    ]);
  });

  it('takes the same bytes again for the same version, with its new time and mode', async () => {
    const first = await keepFile(hub, { hostname: 'same', filepath: '/a', bytes: 'x', mode: 0o600 });
    const again = await keepFile(hub, { hostname: 'same', filepath: '/a', bytes: 'x', mode: 0o644 });
    expect(again).toMatchObject({ id: first.id, version: 1, mode: 0o644 });
  });

  it('lists by hostname and path, page by page, and filters', async () => {
    const names = ['/b', '/a/2', '/a/1', '/a-c'];
    await keepFiles(
      hub,
      names.map((filepath) => ({ hostname: 'listed', filepath, bytes: `bytes of ${filepath}` })),
    );
    const page = { hostname: 'listed', limit: 3 };
    const first = await hub.call(endpoints.listHostFiles, { query: page });
    expect(first.total).toBe(4);
    const cursor = first.next_cursor ?? '';
    const second = await hub.call(endpoints.listHostFiles, { query: { ...page, cursor } });
    expect(second.next_cursor).toBeUndefined();
    expect([...first.files, ...second.files].map(({ filepath }) => filepath)).toEqual([
      '/a-c',
      '/a/1',
      '/a/2',
      '/b',
    ]);
    expect(await pathsOf({ hostname: 'listed', path_prefix: '/a/' })).toEqual(['listed:/a/1', 'listed:/a/2']);
    expect(await pathsOf({ sha256: sha256Hex('bytes of /b') })).toEqual(['listed:/b']);
  });

  it('tells of each machine how much of it is kept', async () => {
    const [, gone] = await keepFiles(hub, [
      { hostname: 'counted', filepath: '/kept', bytes: '12345' },
      { hostname: 'counted', filepath: '/gone', bytes: '123' },
    ]);
    await hub.call(endpoints.deleteHostFile, {
      params: { sha256: gone?.sha256 ?? '' },
      body: { hostname: 'counted', filepath: '/gone' },
    });
    const { hosts } = await hub.call(endpoints.listHosts);
    expect(hosts.find(({ hostname }) => hostname === 'counted')).toMatchObject({
      files: 1,
      bytes: 5,
      deleted_files: 1,
    });
  });
});

describe('deletion', () => {
  it('marks the file, once, whether the fields come in the body or in the query', async () => {
    const { sha256 } = await keepFile(hub, { hostname: 'deleting', filepath: '/a', bytes: 'gone soon' });
    const fields = { hostname: 'deleting', filepath: '/a', deleted_at: '2026-01-02T03:04:05Z' };
    const first = await hub.call(endpoints.deleteHostFile, { params: { sha256 }, body: fields });
    expect(first).toEqual({
      sha256,
      filepath: '/a',
      hostname: 'deleting',
      status: 'deleted',
      deleted_at: '2026-01-02T03:04:05.000Z',
    });
    const query = { hostname: 'deleting', filepath: '/a', deleted_at: '2026-01-03T00:00:00Z' };
    expect(await hub.call(endpoints.deleteHostFile, { params: { sha256 }, query })).toEqual(first);

    expect(await pathsOf({ hostname: 'deleting' })).toEqual([]);
    const deleted = await hub.call(endpoints.listHostFiles, {
      query: { hostname: 'deleting', status: 'deleted' },
    });
    const [file] = deleted.files;
    expect(file).toMatchObject({ status: 'deleted', deleted_at: '2026-01-02T03:04:05.000Z' });
    expect(Date.parse(file?.restorable_until ?? '')).toBeGreaterThan(Date.now());
    const { data: lines } = await hub.call(endpoints.listOperations, { query: { operation: 'delete' } });
    expect(lines.filter(({ details }) => JSON.stringify(details).includes('"deleting"'))).toHaveLength(1);
  });

  it('refuses a notice for other bytes, for another path, and without its fields', async () => {
    const { sha256 } = await keepFile(hub, { hostname: 'refusing', filepath: '/a', bytes: 'stays' });
    const notices = [
      { sha256: sha256Hex('other'), hostname: 'refusing', filepath: '/a' },
      { sha256, hostname: 'refusing', filepath: '/b' },
      { sha256, hostname: 'elsewhere', filepath: '/a' },
    ];
    for (const { sha256: named, ...body } of notices) {
      const refused = await hub.refusal(endpoints.deleteHostFile, { params: { sha256: named }, body });
      expect(refused.code).toBe('host_file_not_found');
    }
    const refused = await hub.refusal(endpoints.deleteHostFile, { params: { sha256 } });
    expect(refused.code).toBe('validation_failed');
    expect(refused.errors?.map(({ field }) => field).toSorted()).toEqual(['filepath', 'hostname']);
    expect(await pathsOf({ hostname: 'refusing' })).toEqual(['refusing:/a']);
  });

  it('takes many at once and tells which were not found', async () => {
    const kept = await keepFiles(
      hub,
      ['/1', '/2', '/3'].map((filepath) => ({ hostname: 'many', filepath, bytes: `many ${filepath}` })),
    );
    const files = kept.map(({ sha256, filepath, hostname }) => ({ sha256, filepath, hostname }));
    const unknown = { sha256: sha256Hex('x'), filepath: '/3', hostname: 'many' };
    const answer = await hub.call(endpoints.deleteHostFiles, {
      body: { files: [...files.slice(0, 2), unknown] },
    });
    expect(answer).toEqual({ deleted: 2, not_found: [unknown] });
    expect(await pathsOf({ hostname: 'many' })).toEqual(['many:/3']);
  });
});

describe('restore', () => {
  it('makes a deleted file, and an older version, the newest again', async () => {
    const old = await keepFile(hub, { hostname: 'back', filepath: '/a', bytes: 'old', mode: 0o640 });
    const { id, sha256 } = await keepFile(hub, { hostname: 'back', filepath: '/a', bytes: 'new' });
    await hub.call(endpoints.deleteHostFile, {
      params: { sha256 },
      body: { hostname: 'back', filepath: '/a' },
    });

    const restored = await hub.call(endpoints.restoreHostFile, { params: { file_id: id } });
    expect(restored).toMatchObject({ version: 3, is_current: true, status: 'active', sha256 });
    const older = await hub.call(endpoints.restoreHostFile, { params: { file_id: old.id } });
    expect(older).toMatchObject({ version: 4, sha256: old.sha256, mode: 0o640 });
    const again = await hub.call(endpoints.restoreHostFile, { params: { file_id: old.id } });
    expect(again).toEqual(older);
  });

  it('is refused past the retention, and for an unknown file', async () => {
    const { id, sha256 } = await keepFile(hub, { hostname: 'late', filepath: '/a', bytes: 'too late' });
    await hub.context.catalog.hostFiles.markDeletedMany([{ hostname: 'late', filepath: '/a', sha256 }], {
      reach: { kind: 'all' },
      at: new Date(Date.now() - 31 * 24 * 60 * 60 * 1000),
    });
    expect((await hub.refusal(endpoints.restoreHostFile, { params: { file_id: id } })).code).toBe(
      'upload_expired',
    );
    const unknown = await hub.refusal(endpoints.restoreHostFile, { params: { file_id: 'nobody' } });
    expect(unknown.code).toBe('host_file_not_found');
  });
});

describe('reach', () => {
  const secret = 'only on alpha';
  const sha256 = sha256Hex(secret);
  let keys: Record<'alpha' | 'beta' | 'reader' | 'limited' | 'sender', string>;

  async function keyOf(name: string, key: object): Promise<string> {
    return (await hub.call(endpoints.createKey, { body: { name, ...key } })).data.token;
  }

  beforeAll(async () => {
    const both = ['files:read', 'files:write'];
    keys = {
      alpha: await keyOf('alpha', { scopes: both, hostname: 'alpha' }),
      beta: await keyOf('beta', { scopes: both, hostname: 'beta' }),
      reader: await keyOf('reader', { scopes: ['files:read'] }),
      limited: await keyOf('limited', { scopes: both, backend_id: hub.backendId }),
      sender: await keyOf('sender', { scopes: ['files:write'] }),
    };
    await keepFile(hub, { hostname: 'alpha', filepath: '/secret', bytes: secret }, { key: keys.alpha });
    await keepFile(
      hub,
      { hostname: 'alpha', filepath: '/limited', bytes: 'of limited' },
      { key: keys.limited },
    );
    await keepFile(hub, { hostname: 'alpha', filepath: '/sent', bytes: 'of sender' }, { key: keys.sender });
  });

  it('lists what the key may see: its machine, what it sent itself, or all', async () => {
    const query = { hostname: 'alpha' };
    const all = ['alpha:/limited', 'alpha:/secret', 'alpha:/sent'];
    expect(await pathsOf(query, keys.alpha)).toEqual(all);
    expect(await pathsOf(query, keys.reader)).toEqual(all);
    expect(await pathsOf(query, keys.beta)).toEqual([]);
    expect(await pathsOf(query, keys.limited)).toEqual(['alpha:/limited']);
    const { hosts } = await hub.call(endpoints.listHosts, { key: keys.limited });
    expect(hosts).toMatchObject([{ hostname: 'alpha', files: 1 }]);
    expect((await hub.call(endpoints.listHosts, { key: keys.beta })).total).toBe(0);
  });

  it('shows a content, its clones and its bytes only where a file within reach refers to it', async () => {
    const params = { sha256 };
    for (const key of [keys.beta, keys.limited]) {
      const refused = await hub.refusal(endpoints.getContent, { params, key });
      const unknown = await hub.refusal(endpoints.getContent, { params: { sha256: sha256Hex('?') }, key });
      expect([refused.status, refused.code, refused.title]).toEqual([404, unknown.code, unknown.title]);
      expect(refused.detail.replace(sha256, '')).toBe(unknown.detail.replace(sha256Hex('?'), ''));
      expect((await hub.refusal(endpoints.downloadContent, { params, key })).code).toBe('content_not_found');
    }
    expect((await hub.response(endpoints.downloadContent, { params, key: keys.reader })).status).toBe(200);
    await keepFile(hub, { hostname: 'beta', filepath: '/copy', bytes: secret }, { key: keys.beta });
    const seen = async (key: string): Promise<string[]> =>
      (await hub.call(endpoints.getContent, { params, key })).host_files.map(({ hostname }) => hostname);
    expect(await seen(keys.beta)).toEqual(['beta']);
    expect(await seen(keys.alpha)).toEqual(['alpha']);
    expect(await seen(keys.reader)).toEqual(['alpha', 'beta']);
  });

  it('tells of contents only what the key may read', async () => {
    const { hostFiles } = hub.context;
    const asked = [sha256, sha256Hex('of limited'), sha256Hex('nothing')];
    const known = async (key: string): Promise<number[]> => {
      const readable = await hostFiles.readable(asked, await principalOf(hub, key));
      return asked.flatMap((sha, index) => (readable.has(sha) ? [index] : []));
    };
    expect(await known(keys.reader)).toEqual([0, 1]);
    expect(await known(keys.limited)).toEqual([1]);
    expect(await known(keys.sender)).toEqual([]);
  });

  it('deletes and restores only within reach', async () => {
    const fields = { hostname: 'alpha', filepath: '/sent' };
    const params = { sha256: sha256Hex('of sender') };
    for (const key of [keys.beta, keys.limited]) {
      const refused = await hub.refusal(endpoints.deleteHostFile, { params, body: fields, key });
      expect(refused.code).toBe('host_file_not_found');
    }
    await hub.call(endpoints.deleteHostFile, { params, body: fields, key: keys.sender });
    const [file] = (
      await hub.call(endpoints.listHostFiles, { query: { sha256: params.sha256, status: 'deleted' } })
    ).files;
    const restore = { params: { file_id: file?.file_id ?? '' } };
    const refused = await hub.refusal(endpoints.restoreHostFile, { ...restore, key: keys.beta });
    expect(refused.code).toBe('host_file_not_found');
    const restored = await hub.call(endpoints.restoreHostFile, { ...restore, key: keys.sender });
    expect(restored).toMatchObject({ version: 2, uploaded_by: 'sender' });
  });

  it('records files of its own machine only', async () => {
    const file = { hostname: 'alpha', filepath: '/intruder', bytes: 'x' };
    await expect(keepFile(hub, file, { key: keys.beta })).rejects.toMatchObject({
      code: 'forbidden',
      errors: [{ field: 'hostname' }],
    });
    const { hostFiles } = hub.context;
    const principal = await principalOf(hub, keys.beta);
    const description = { hostname: 'alpha', filepath: '/x', sha256, size: 1, mtime: null, mode: null };
    await expect(hostFiles.record(principal, description)).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('recording what is kept already', () => {
  it('makes a version without bytes, and says when the content is gone', async () => {
    const { sha256 } = await keepFile(hub, { hostname: 'dedup', filepath: '/a', bytes: 'twice' });
    const { hostFiles } = hub.context;
    const principal = await principalOf(hub);
    const description = { hostname: 'dedup', filepath: '/b', sha256, size: 5, mtime: null, mode: null };
    const recorded = await hostFiles.record(principal, description);
    expect(recorded.created).toBe(true);
    expect(await pathsOf({ sha256 })).toEqual(['dedup:/a', 'dedup:/b']);
    const gone = { ...description, sha256: sha256Hex('never stored') };
    await expect(hostFiles.record(principal, gone)).rejects.toMatchObject({ code: 'content_not_found' });
  });
});
