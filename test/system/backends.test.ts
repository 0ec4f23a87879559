import { mkdir, readdir, rename } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHub, type HubUnderTest } from '../support/hub.ts';
import {
  bootBackend,
  changeSettings,
  createLocalBackend,
  filesPath,
  problemOf,
  store,
  upload,
} from '../support/hub-storage.ts';
import { makeTempDir, type TempDir } from '../support/temp-dir.ts';

const resources = new AsyncDisposableStack();
let hub: HubUnderTest;
let work: TempDir;

beforeAll(async () => {
  work = resources.use(await makeTempDir('backends'));
  hub = resources.use(await startHub());
});

afterAll(() => resources.disposeAsync());

describe('the boot backend', () => {
  it('is not deleted, and the refusal says which setting to change', async () => {
    const { id } = await bootBackend(hub);
    await store(hub, id, '/kept.bin', 'kept');

    const response = await hub.api(`/api/v1/storage/backends/${id}`, { method: 'DELETE' });
    expect(response.status).toBe(409);
    const problem = await problemOf(response);
    expect(problem.code).toBe('backend_in_use');
    expect(problem.detail).toMatch(/default_boot_backend_id|boot backend/);

    expect(await (await hub.api('/api/v1/files/kept.bin')).text()).toBe('kept');
  });
});

describe('a backend whose root has vanished', () => {
  it('answers 503, creates nothing in its place, and serves again when the root is back', async () => {
    const root = work.join('volume');
    await mkdir(root);
    const previous = await bootBackend(hub);
    const { id } = await createLocalBackend(hub, 'volume', root);
    await changeSettings(hub, { default_boot_backend_id: id });
    await store(hub, id, '/a.bin', 'there');
    await rename(root, work.join('unmounted'));

    const attempts = [
      await hub.api('/api/v1/files/a.bin'),
      await hub.api(filesPath(id, '/')),
      await upload(hub, id, '/b.bin', 'lost'),
      await upload(hub, id, '/deep/er/b.bin', 'lost'),
      await hub.api(filesPath(id, '/a.bin'), { method: 'DELETE' }),
    ];
    for (const response of attempts) {
      expect(response.status, response.url).toBe(503);
      const problem = await problemOf(response);
      expect(problem.code).toBe('backend_unavailable');
      expect(problem.detail.length).toBeGreaterThan(20);
    }
    expect(await readdir(work.path)).toEqual(['unmounted']);

    await rename(work.join('unmounted'), root);
    // The hub finds out by itself that the volume is back.
    await expect
      .poll(async () => (await hub.api('/api/v1/files/a.bin')).status, { timeout: 90_000, interval: 500 })
      .toBe(200);
    expect((await upload(hub, id, '/b.bin', 'back')).status).toBe(201);
    await changeSettings(hub, { default_boot_backend_id: previous.id });
  });

  it('is not mistaken for the empty folder that an unmounted disk leaves behind', async () => {
    const root = work.join('mount-point');
    await mkdir(root);
    const { id } = await createLocalBackend(hub, 'mount point', root);
    await store(hub, id, '/a.bin', 'on the disk');
    await rename(root, work.join('disk'));
    await mkdir(root);

    const response = await upload(hub, id, '/b.bin', 'lost');
    expect([409, 503]).toContain(response.status);
    expect(['wrong_volume', 'backend_unavailable']).toContain((await problemOf(response)).code);
    expect(await readdir(root)).toEqual([]);
  });
});
