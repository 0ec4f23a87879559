import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import { collectionReport, type CollectionReport } from '@holdfast/contract/host-files';
import { startPostgres } from '@holdfast/test-support/postgres';
import { keepFile } from '../host-files/testing/kept-files.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

/** Two hubs on one PostgreSQL and one volume. */
let here: TestHub;
let there: TestHub;
const resources = new AsyncDisposableStack();
beforeAll(async () => {
  const postgres = resources.use(await startPostgres());
  const databaseUrl = await postgres.createDatabase();
  const secretKey = Buffer.alloc(32, 7).toString('base64');
  here = resources.use(await startTestHub({ databaseUrl, secretKey }));
  there = resources.use(await startTestHub({ databaseUrl, secretKey }));
});
afterAll(() => resources.disposeAsync());
afterEach(() => {
  vi.useRealTimers();
});

const LONG_AGO = new Date('2020-01-01T00:00:00Z');

async function deleteLongAgo(file: { hostname: string; filepath: string; sha256: string }): Promise<void> {
  const { hostname, filepath, sha256 } = file;
  const options = { reach: { kind: 'all' } as const, at: LONG_AGO };
  await here.context.catalog.hostFiles.markDeletedMany([{ hostname, filepath, sha256 }], options);
}

async function collect(hub: TestHub, dryRun = false): Promise<CollectionReport> {
  const { data } = await hub.call(endpoints.collectVault, { body: { dry_run: dryRun } });
  return collectionReport.parse((await hub.finished(data.operation_id)).details);
}

async function textOf(hub: TestHub, sha256: string): Promise<string> {
  return await (await hub.response(endpoints.downloadContent, { params: { sha256 } })).text();
}

describe('two hubs on one catalog', () => {
  it('collect what the other has stored, and store it anew', async () => {
    const file = await keepFile(here, { filepath: '/a', bytes: 'of both' });
    expect(await textOf(there, file.sha256)).toBe('of both');
    await deleteLongAgo(file);
    expect(await collect(here, true)).toMatchObject({
      purged_files: 1,
      removed_contents: 1,
      removed_bytes: 7,
    });
    expect(await collect(there)).toMatchObject({ purged_files: 1, removed_contents: 1, removed_bytes: 7 });
    expect((await here.refusal(endpoints.getContent, { params: { sha256: file.sha256 } })).status).toBe(404);
    await keepFile(here, { filepath: '/a', bytes: 'of both' });
    expect(await textOf(there, file.sha256)).toBe('of both');
  });

  it('leave a young file without a row alone: the other may just be recording it', async () => {
    const { contents } = here.context.vault.backendFor();
    const bytes = Buffer.from('being recorded elsewhere');
    const sha256 = sha256Hex(bytes);
    await contents.storeMany([{ sha256, bytes }]);
    expect(await collect(there)).toMatchObject({ orphans: 0 });
    expect(await contents.stat(sha256)).not.toBeNull();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 25 * 60 * 60 * 1000 });
    expect(await collect(there)).toMatchObject({ orphans: 1, orphan_bytes: bytes.byteLength });
    expect(await contents.stat(sha256)).toBeNull();
  });

  it('end a removal of a hub that never comes back', async () => {
    const file = await keepFile(here, { filepath: '/b', bytes: 'half removed' });
    await deleteLongAgo(file);
    const { catalog, vault } = here.context;
    await catalog.hostFiles.purge(new Date(), 10);
    await catalog.contents.beginRemoval([file.sha256], 'a hub that is gone');
    expect(await collect(here)).toMatchObject({ removed_contents: 0 });
    await expect(vault.presence(file.sha256)).rejects.toMatchObject({ code: 'busy' });
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2 * 60 * 60 * 1000 });
    expect(await collect(here)).toMatchObject({ removed_contents: 1, removed_bytes: 12 });
    expect(await vault.presence(file.sha256)).toEqual({ kind: 'absent' });
  });

  it('lose nothing while one collects and the other records', { timeout: 120_000 }, async () => {
    const done = new AbortController();
    const collections = [here, there].map(async (hub) => {
      while (!done.signal.aborted) await collect(hub);
    });
    const keep = async (file: { hostname: string; filepath: string; bytes: string }) => {
      for (;;) {
        try {
          return await keepFile(here, file);
        } catch (error) {
          // The other hub is at it: come again, as a client does.
          expect(String(error)).toMatch(/content_missing|content_removing|Another hub is just removing/);
        }
      }
    };
    await Promise.all(
      Array.from({ length: 4 }, async (_, index) => {
        for (let round = 0; round < 15; round++) {
          const bytes = `contended ${index}`;
          const file = await keep({ hostname: 'contended', filepath: `/${index}`, bytes });
          expect(await textOf(there, file.sha256)).toBe(bytes);
          await deleteLongAgo(file);
        }
      }),
    );
    done.abort();
    await Promise.all(collections);
    await collect(here);
    expect(
      (await here.call(endpoints.listHostFiles, { query: { hostname: 'contended', status: 'all' } })).total,
    ).toBe(0);
  });
});
