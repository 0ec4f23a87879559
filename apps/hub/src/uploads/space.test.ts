import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { sampleFile, UploadClient } from '../testing/upload-client.ts';
import { Space, type VaultBackend } from './space.ts';

const GIB = 1024 ** 3;

describe('the space of a backend', () => {
  let hub: TestHub;
  let free: number;
  let backend: VaultBackend;
  let asked: number;
  beforeAll(async () => {
    hub = await startTestHub();
  });
  afterAll(() => hub[Symbol.asyncDispose]());
  beforeEach(() => {
    asked = 0;
    const real = hub.context.vault.backendOf(hub.backendId);
    const usage = (): Promise<{ usedBytes: number; totalBytes: number }> => {
      asked += 1;
      return Promise.resolve({ usedBytes: 1000 * GIB - free, totalBytes: 1000 * GIB });
    };
    // The real backend in all but the size of its disk.
    backend = { ...real, storage: { ...real.storage, usage } };
  });

  const refused = { code: 'storage_full', errors: [{ field: 'file_size' }] };

  it('is promised once: what uploads under way may still bring is not free any more', async () => {
    const require = (size: number): Promise<void> => new Space(hub.context.catalog).require(backend, size);
    const client = new UploadClient(hub);
    const plan = { file_size: 50_000_000, chunk_size: 10_000_000, total_chunks: 5, sha256: null };
    const { upload_id } = await client.initiate(sampleFile(1), 1, plan);
    free = 60_000_000;
    await require(10_000_000);
    await expect(require(10_000_001)).rejects.toMatchObject(refused);
    await client.send(upload_id, 3, Buffer.alloc(10_000_000));
    free = 50_000_000; // what came is on the disk now
    await require(10_000_000);
    await expect(require(10_000_001)).rejects.toMatchObject(refused);
    await client.abort(upload_id);
    await require(50_000_000);
  });

  it('is not asked for again while there is plenty', async () => {
    free = 100 * GIB;
    const space = new Space(hub.context.catalog);
    for (let count = 0; count < 50; count += 1) await space.require(backend, GIB);
    expect(asked).toBe(1);
  });

  it('is looked at before an upload is refused', async () => {
    free = 10 * GIB;
    const space = new Space(hub.context.catalog);
    await space.require(backend, 10 * GIB);
    free = 20 * GIB;
    await space.require(backend, 15 * GIB);
    expect(asked).toBe(2);
    await expect(space.require(backend, 21 * GIB)).rejects.toMatchObject(refused);
  });

  it('has no limit where the backend knows none', async () => {
    const { storage } = backend;
    const unknown = {
      ...backend,
      storage: { ...storage, capabilities: { ...storage.capabilities, usage: false } },
    };
    await new Space(hub.context.catalog).require(unknown, 5 * 1024 ** 4);
    expect(asked).toBe(0);
  });
});
