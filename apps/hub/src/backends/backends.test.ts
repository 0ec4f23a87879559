import { mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SteppedClock } from '@holdfast/bytes/pacing/testing/stepped-clock';
import type { Backend } from '@holdfast/contract/backends';
import { endpoints } from '@holdfast/contract/endpoints';
import { openEvents } from '../testing/event-client.ts';
import { startTestHub, statusesOf, targetOf, type TestHub } from '../testing/test-hub.ts';
import { BackendMonitor } from './monitor.ts';

let hub: TestHub;
let params: { id: string };
beforeEach(async () => {
  hub = await startTestHub();
  params = { id: hub.backendId };
});
afterEach(() => hub[Symbol.asyncDispose]());

async function makeFolder(name: string): Promise<string> {
  const root = join(hub.dataDir, name);
  await mkdir(root);
  return root;
}

async function create(name: string, root: string): Promise<Backend> {
  return (await hub.call(endpoints.createBackend, { body: { name, type: 'local', config: { root } } })).data;
}

function refusedRoot(root: string): ReturnType<TestHub['refusal']> {
  return hub.refusal(endpoints.createBackend, { body: { name: 'refused', type: 'local', config: { root } } });
}

async function backendMetrics(): Promise<string[]> {
  const text = await (await hub.response(endpoints.getMetrics)).text();
  return text.split('\n').filter((line) => line.startsWith('holdfast_backend_up{'));
}

describe('a new backend', () => {
  it('is online at once and listed by name', async () => {
    const made = await create('archive', await makeFolder('archive'));
    expect(made).toMatchObject({
      status: 'online',
      status_message: null,
      type: 'local',
      mount_point: join(hub.dataDir, 'archive'),
    });
    expect(made.stats.total_bytes).toBeGreaterThan(0);
    await create('zoo', await makeFolder('zoo'));
    const { data, total } = await hub.call(endpoints.listBackends);
    expect(data.map(({ name }) => name)).toEqual(['archive', 'default', 'zoo']);
    expect(total).toBe(3);
  });

  it.each([
    ['that is missing', 'missing', 'does not exist'],
    ['that is a file', 'a-file', 'is not a folder'],
    ['below a file', 'a-file/below', 'is a file'],
  ])('is refused a root %s, and nothing is made', async (_, name, reason) => {
    await writeFile(join(hub.dataDir, 'a-file'), 'bytes');
    const before = await readdir(hub.dataDir);
    const refused = await refusedRoot(join(hub.dataDir, name));
    expect(refused).toMatchObject({ code: 'validation_failed', errors: [{ field: 'config.root' }] });
    expect(refused.detail).toContain(reason);
    expect(await readdir(hub.dataDir)).toEqual(before);
    expect((await hub.call(endpoints.listBackends)).total).toBe(1);
  });

  it.each([['relative/path'], ['./data'], [''], ['/'], ['/a\0b']])('is refused the root %j', async (root) => {
    expect(await refusedRoot(root)).toMatchObject({
      code: 'validation_failed',
      errors: [{ field: 'config.root' }],
    });
  });

  it('is refused a volume that another backend has, by whatever path', async () => {
    await symlink(hub.root, join(hub.dataDir, 'link'));
    for (const root of [hub.root, `${hub.root}/`, join(hub.dataDir, 'link')]) {
      const refused = await refusedRoot(root);
      expect(refused).toMatchObject({ code: 'conflict', status: 409 });
      expect(refused.detail).toContain('"default"');
    }
  });

  it('is made once when four ask for the same volume at the same time', async () => {
    const root = await makeFolder('wanted');
    const answers = await Promise.all(
      Array.from({ length: 4 }, (_, index) =>
        hub.response(endpoints.createBackend, {
          body: { name: `wanted ${index}`, type: 'local', config: { root } },
        }),
      ),
    );
    expect(statusesOf(answers)).toEqual([201, 409, 409, 409]);
    expect((await hub.call(endpoints.listBackends)).total).toBe(2);
  });

  it.each([
    [{ name: 'default', type: 'local' }, 'name_taken', 'name'],
    [{ name: ' ', type: 'local' }, 'validation_failed', 'name'],
    [{ name: 'x'.repeat(101), type: 'local' }, 'validation_failed', 'name'],
    [{ name: 'x', type: 'floppy' }, 'validation_failed', 'type'],
    [{ name: 'x', type: 'local', secret: 1 }, 'validation_failed', 'secret'],
  ])('is refused as %j', async (fields, code, field) => {
    const config = { root: await makeFolder('fresh') };
    const refused = await hub.refusal(endpoints.createBackend, { body: { ...fields, config } });
    expect(refused.code).toBe(code);
    expect(refused.errors?.map((problem) => problem.field)).toEqual([field]);
  });
});

describe('a changed backend', () => {
  it('is renamed everywhere, the metrics included', async () => {
    const { data } = await hub.call(endpoints.updateBackend, { params, body: { name: 'renamed' } });
    expect(data).toMatchObject({ name: 'renamed', status: 'online' });
    expect(await backendMetrics()).toEqual(['holdfast_backend_up{backend="renamed"} 1']);
    await create('other', await makeFolder('other'));
    expect(await hub.refusal(endpoints.updateBackend, { params, body: { name: 'other' } })).toMatchObject({
      code: 'name_taken',
    });
    expect((await hub.call(endpoints.updateBackend, { params, body: { name: 'renamed' } })).data.name).toBe(
      'renamed',
    );
  });

  it('follows its volume to another root, and its checksums stay', async () => {
    const stored = await hub.upload('/a', 'a');
    const moved = join(hub.dataDir, 'moved');
    await rename(hub.root, moved);
    const { data } = await hub.call(endpoints.updateBackend, { params, body: { config: { root: moved } } });
    expect(data).toMatchObject({ status: 'online', config: { root: moved } });
    const { data: listed } = await hub.call(endpoints.listFiles, { params });
    expect(listed.files).toMatchObject([{ path: '/a', checksum_sha256: stored.checksum_sha256 }]);
    await hub.restart();
    expect(await (await hub.request('/api/v1/files/a')).text()).toBe('a');
  });

  it('is not led to another volume, and goes on as it was', async () => {
    await hub.upload('/a', 'a');
    const otherRoot = await makeFolder('other');
    await create('other', otherRoot);
    for (const root of [await makeFolder('empty'), otherRoot]) {
      const refused = await hub.refusal(endpoints.updateBackend, { params, body: { config: { root } } });
      expect(refused).toMatchObject({ code: 'wrong_volume', status: 409 });
      expect(refused.detail).toContain('another volume');
    }
    expect(await (await hub.request('/api/v1/files/a')).text()).toBe('a');
  });

  it('is refused unknown fields and roots, by name', async () => {
    const bodies = [
      { type: 'nfs' },
      { config: { path: '/x' } },
      { config: { root: 'relative' } },
      { config: { root: '/not/there' } },
    ];
    const refused = await Promise.all(
      bodies.map((body) => hub.refusal(endpoints.updateBackend, { params, body })),
    );
    const fields = refused.map(({ errors }) => errors?.map(({ field }) => field));
    expect(fields).toEqual([['type'], ['config.path'], ['config.root'], ['config.root']]);
  });
});

describe('deleting a backend', () => {
  it('is refused with its roles while it has some, and done by force; the files stay', async () => {
    await hub.upload('/a', 'a');
    const refused = await hub.refusal(endpoints.deleteBackend, { params });
    expect(refused).toMatchObject({ code: 'backend_in_use', status: 409 });
    expect(refused.detail).toBe(
      '"default" is the boot backend and the ingest backend. Set default_boot_backend_id and default_ingest_backend_id ' +
        'to another backend or null by PATCH /api/v1/system/settings first, or delete with ?force=true.',
    );
    const root = hub.root;
    await hub.call(endpoints.deleteBackend, { params, query: { force: true } });
    const { data: settings } = await hub.call(endpoints.getSettings);
    expect(settings).toMatchObject({ default_boot_backend_id: null, default_ingest_backend_id: null });
    expect(await readFile(join(root, 'a'), 'utf8')).toBe('a');
    const boot = await hub.request('/api/v1/files/a');
    expect(await boot.json()).toMatchObject({ code: 'no_boot_backend', status: 503 });
  });

  it('forgets it for good: no id, no metric, and no new default after a restart', async () => {
    await hub.call(endpoints.deleteBackend, { params, query: { force: true } });
    for (const endpoint of [
      endpoints.getBackend,
      endpoints.deleteBackend,
      endpoints.testBackend,
      endpoints.listFiles,
    ]) {
      expect(await hub.refusal(endpoint, { params })).toMatchObject({ code: 'backend_not_found' });
    }
    expect(await backendMetrics()).toEqual([]);
    await hub.restart();
    expect((await hub.call(endpoints.listBackends)).total).toBe(0);
  });

  it('can be undone by adding its folder again', async () => {
    const root = hub.root;
    await hub.upload('/a', 'a');
    await hub.call(endpoints.deleteBackend, { params, query: { force: true } });
    const again = await create('again', root);
    const { data } = await hub.call(endpoints.listFiles, { params: { id: again.id } });
    expect(data.files.map(({ path }) => path)).toEqual(['/a']);
  });
});

describe('a backend whose root is gone', () => {
  async function statuses(): Promise<Record<string, number>> {
    const paths = { source_path: '/a', destination_path: '/b' };
    const calls = {
      list: hub.response(endpoints.listFiles, { params }),
      download: hub.response(endpoints.downloadFile, { params, query: { path: '/a' } }),
      boot: hub.request('/api/v1/files/a', { key: null }), // it has been read so often that it is in memory
      upload: hub.request(targetOf(endpoints.uploadFile, params, { path: '/deep/new' }), {
        method: 'POST',
        body: 'x',
      }),
      delete: hub.response(endpoints.deleteFile, { params, query: { path: '/a' } }),
      move: hub.response(endpoints.moveFile, { params, body: paths }),
      copy: hub.response(endpoints.copyFile, { params, body: paths }),
      folder: hub.response(endpoints.createFolder, { params, body: { path: '/folder' } }),
      verify: hub.response(endpoints.verifyFiles, { params, body: { path: '/' } }),
    };
    return Object.fromEntries(
      await Promise.all(
        Object.entries(calls).map(async ([name, call]) => [name, (await call).status] as const),
      ),
    );
  }

  it('answers 503 everywhere, makes nothing, says so as an event, and comes back', async () => {
    await hub.upload('/a', 'a');
    for (let reads = 0; reads < 3; reads++)
      expect((await hub.request('/api/v1/files/a', { key: null })).status).toBe(200);
    await using client = await openEvents(hub, { types: 'backend.status' });
    await rename(hub.root, `${hub.root}.away`);
    const { list, ...others } = await statuses();
    expect({ list, ...others }).toEqual(
      Object.fromEntries(Object.keys({ list, ...others }).map((name) => [name, 503])),
    );
    expect(await readdir(hub.dataDir)).not.toContain('files');
    const batch = await hub.call(endpoints.deleteFiles, { params, body: { paths: ['/a'] } });
    expect(batch.data.failed).toMatchObject([{ path: '/a', code: 'backend_unavailable' }]);

    const { data: tested } = await hub.call(endpoints.testBackend, { params });
    expect(tested.success).toBe(false);
    expect(tested.checks.map(({ name, ok }) => [name, ok])).toEqual(
      ['root', 'volume', 'list', 'write', 'read', 'remove'].map((name) => [name, false]),
    );
    expect(await client.firstOf('backend.status')).toMatchObject({
      backend_id: params.id,
      status: 'offline',
    });
    expect((await hub.request('/readyz')).status).toBe(503);
    const { data: shown } = await hub.call(endpoints.getBackend, { params });
    expect(shown.status).toBe('offline');
    expect(shown.status_message).toContain(hub.root);

    await rename(`${hub.root}.away`, hub.root);
    expect((await hub.call(endpoints.testBackend, { params })).data).toMatchObject({
      success: true,
      message: 'All checks passed.',
    });
    await client.first((event) => event.type === 'backend.status' && event.status === 'online');
    expect((await hub.request('/readyz')).status).toBe(200);
    expect(await (await hub.request('/api/v1/files/a')).text()).toBe('a');
  });

  it('is not mistaken for the empty folder below an unmounted disk', async () => {
    await rename(hub.root, `${hub.root}.away`);
    await mkdir(hub.root);
    await expect(hub.upload('/a', 'a')).rejects.toThrow('503');
    expect(await readdir(hub.root)).toEqual([]);
  });

  it('is not mistaken for another disk mounted in its place', async () => {
    await create('other', await makeFolder('other'));
    await rename(hub.root, `${hub.root}.away`);
    await rename(join(hub.dataDir, 'other'), hub.root);
    await expect(hub.upload('/a', 'a')).rejects.toThrow('wrong_volume');
    expect(await readdir(hub.root)).toEqual(['.holdfast']);
  });

  it('does not keep the hub from starting', async () => {
    await rename(hub.root, `${hub.root}.away`);
    await hub.restart();
    expect((await hub.call(endpoints.getBackend, { params })).data.status).toBe('offline');
    expect(await readdir(hub.dataDir)).not.toContain('files');
  });
});

describe('the monitor of the backends', () => {
  it('finds out soon after a request has failed that the root is gone, and later that it is back', async () => {
    await using client = await openEvents(hub, { types: 'backend.status' });
    const clock = new SteppedClock();
    const { backends, logger } = hub.context;
    const { now, setTimer } = clock;
    using _monitor = new BackendMonitor(backends, logger, { now, setTimer, random: () => 0 });
    await rename(hub.root, `${hub.root}.away`);
    await clock.advance(10_000);
    expect(backends.get(params.id).status).toBe('online');

    expect((await hub.response(endpoints.listFiles, { params })).status).toBe(503);
    await clock.advance(0);
    expect(await client.firstOf('backend.status')).toMatchObject({ status: 'offline' });

    await rename(`${hub.root}.away`, hub.root);
    await clock.advance(5_000);
    await client.first((event) => event.type === 'backend.status' && event.status === 'online');
  });

  it('says nothing while nothing changes, and keeps usage and the time of the check up to date', async () => {
    const statuses: string[] = [];
    hub.context.events.subscribe((event) => {
      if (event.type === 'backend.status') statuses.push(event.status);
    });
    const { backends } = hub.context;
    const before = backends.get(params.id).checkedAt?.getTime() ?? Infinity;
    for (let checks = 0; checks < 3; checks++) expect(await backends.checkInTurn(params.id)).toBe(true);
    expect(statuses).toEqual([]);
    expect(backends.get(params.id).checkedAt?.getTime()).toBeGreaterThanOrEqual(before);
    expect(backends.get(params.id).usage?.totalBytes).toBeGreaterThan(0);
    await rename(hub.root, `${hub.root}.away`);
    for (let checks = 0; checks < 3; checks++) expect(await backends.checkInTurn(params.id)).toBe(false);
    expect(statuses).toEqual(['offline']);
    expect(backends.get(params.id).usage?.totalBytes).toBeGreaterThan(0); // as it was last seen
  });
});

describe('a test whose caller goes away', () => {
  it('says nothing about the backend', async () => {
    const { backends } = hub.context;
    const test = backends.check(params.id, AbortSignal.abort());
    await expect(test).rejects.toMatchObject({ code: 'cancelled' });
    const gone = new AbortController();
    const begun = backends.check(params.id, gone.signal);
    gone.abort();
    await expect(begun).rejects.toMatchObject({ code: 'cancelled' });
    expect(await backends.checkInTurn(params.id)).toBe(true);
    expect(backends.get(params.id).status).toBe('online');
  });
});
