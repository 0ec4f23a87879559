import { readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { collectionReport, type CollectionReport } from '@holdfast/contract/host-files';
import { endpoints } from '@holdfast/contract/endpoints';
import { keepFile, keepFiles, principalOf } from '../host-files/testing/kept-files.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
beforeEach(async () => {
  hub = await startTestHub();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await hub[Symbol.asyncDispose]();
});

const LONG_AGO = new Date('2020-01-01T00:00:00Z');

/** Deletes files so long ago that their retention has passed. */
async function deleteLongAgo(
  files: readonly { hostname: string; filepath: string; sha256: string }[],
): Promise<void> {
  const notices = files.map(({ hostname, filepath, sha256 }) => ({ hostname, filepath, sha256 }));
  await hub.context.catalog.hostFiles.markDeletedMany(notices, { reach: { kind: 'all' }, at: LONG_AGO });
}

async function collect(dryRun = false): Promise<CollectionReport> {
  const { data } = await hub.call(endpoints.collectVault, { body: { dry_run: dryRun } });
  const operation = await hub.finished(data.operation_id);
  expect(operation).toMatchObject({ operation: 'delete', state: 'finished' });
  return collectionReport.parse(operation.details);
}

async function vaultFiles(): Promise<string[]> {
  const entries = await readdir(join(hub.root, '.holdfast', 'vault'), {
    recursive: true,
    withFileTypes: true,
  });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

/** A leftover of a crash: bytes in the vault that no row knows. */
async function leaveBehind(text: string): Promise<string> {
  const { contents } = hub.context.vault.backendFor();
  async function* source(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
  }
  return (await contents.store(source())).sha256;
}

const nothing: CollectionReport = {
  dry_run: false,
  purged_files: 0,
  removed_contents: 0,
  removed_bytes: 0,
  orphans: 0,
  orphan_bytes: 0,
  failed: [],
};

describe('a collection', () => {
  it('removes the versions of files deleted too long ago, and what then nothing refers to', async () => {
    const samples = [
      { filepath: '/gone', bytes: 'first version' },
      { filepath: '/gone', bytes: 'second version' },
      { filepath: '/shared', bytes: 'shared by two' },
      { filepath: '/sharing', bytes: 'shared by two' },
      { filepath: '/recent', bytes: 'recently deleted' },
    ];
    const [, gone, shared, sharing, recent] = await keepFiles(hub, samples);
    if (gone === undefined || shared === undefined || sharing === undefined || recent === undefined)
      throw new Error();
    await deleteLongAgo([gone, shared]);
    await hub.call(endpoints.deleteHostFile, {
      params: { sha256: recent.sha256 },
      body: { hostname: 'box', filepath: '/recent' },
    });

    const expected = { ...nothing, purged_files: 3, removed_contents: 2, removed_bytes: 27 };
    expect(await collect(true)).toEqual({ ...expected, dry_run: true });
    expect(await vaultFiles()).toHaveLength(4);
    const stats = (await hub.call(endpoints.getVault)).data;
    expect([stats.unreferenced_contents, stats.unreferenced_bytes]).toEqual([2, 27]);
    expect(await collect()).toEqual(expected);
    expect((await vaultFiles()).toSorted()).toEqual([sharing.sha256, recent.sha256].toSorted());
    expect(await collect()).toEqual(nothing);
  });

  it('removes what a crash left in the vault, and nothing that was there before the backend', async () => {
    const left = await leaveBehind('left behind');
    const kept = await keepFile(hub, { filepath: '/kept', bytes: 'kept' });
    expect(await collect(true)).toMatchObject({ orphans: 1, orphan_bytes: 11 });
    expect(await vaultFiles()).toContain(left);
    expect(await collect()).toMatchObject({ orphans: 1, orphan_bytes: 11, removed_contents: 0 });
    expect(await vaultFiles()).toEqual([kept.sha256]);

    // The volume of a hub whose catalog is lost: added again, its vault is all that is left.
    await hub.call(endpoints.deleteBackend, { params: { id: hub.backendId }, query: { force: true } });
    const body = { name: 'default', type: 'local', config: { root: hub.root } };
    await hub.call(endpoints.createBackend, { body });
    expect(await collect()).toEqual(nothing);
    expect(await vaultFiles()).toEqual([kept.sha256]);
  });

  it('runs once at a time', async () => {
    const gate = Promise.withResolvers<void>();
    const { hostFiles } = hub.context.catalog;
    const purge = hostFiles.purge.bind(hostFiles);
    vi.spyOn(hostFiles, 'purge').mockImplementationOnce(async (...args) => {
      await gate.promise;
      return purge(...args);
    });
    const first = await hub.call(endpoints.collectVault, { body: {} });
    const refused = await hub.refusal(endpoints.collectVault, { body: { dry_run: true } });
    expect([refused.status, refused.code]).toEqual([409, 'conflict']);
    gate.resolve();
    await hub.finished(first.data.operation_id);
    expect(await collect(true)).toMatchObject({ dry_run: true });
  });

  it('reports what it could not remove, keeps it, and removes it the next time', async () => {
    const root = join(hub.dataDir, 'other');
    const { row } = await hub.context.backends.create({
      name: 'other',
      type: 'local',
      config: { root },
      create: true,
    });
    const here = await keepFile(hub, { filepath: '/here', bytes: 'here' });
    const there = await keepFile(hub, { filepath: '/there', bytes: 'there' }, { backendId: row.id });
    await deleteLongAgo([here, there]);
    await rename(root, `${root}.away`);
    const { data } = await hub.call(endpoints.collectVault, { body: {} });
    const operation = await hub.finished(data.operation_id);
    expect(operation).toMatchObject({ success: false, error: { code: 'backend_unavailable' } });
    expect(operation.details).toMatchObject({
      removed_contents: 1,
      failed: [{ sha256: there.sha256, code: 'backend_unavailable' }],
    });
    expect((await hub.context.catalog.contents.get(there.sha256))?.state).toBe('stored');
    await rename(`${root}.away`, root);
    expect(await collect()).toMatchObject({ removed_contents: 1, removed_bytes: 5, failed: [] });
  });

  it('is logged each hour only when it did something', async () => {
    const operations = async (): Promise<number> => (await hub.call(endpoints.listOperations)).total;
    await hub.context.vault.collectHourly();
    expect(await operations()).toBe(0);
    const file = await keepFile(hub, { filepath: '/a', bytes: 'hourly' });
    await deleteLongAgo([file]);
    await hub.context.vault.collectHourly();
    const { data } = await hub.call(endpoints.listOperations);
    expect(data).toMatchObject([
      { operation: 'delete', bytes: 6, details: { purged_files: 1, removed_contents: 1 } },
    ]);
  });

  it('needs an administrator', async () => {
    const { token } = await hub.issueKey({ scopes: ['files:read', 'files:write', 'backends:read'] });
    expect((await hub.refusal(endpoints.collectVault, { body: {}, key: token })).code).toBe('forbidden');
  });
});

describe('a collection beside uploads of the same content', () => {
  const text = 'comes and goes';
  const sha256 = sha256Hex(text);

  async function unreferenced(): Promise<void> {
    await deleteLongAgo([await keepFile(hub, { filepath: '/before', bytes: text })]);
  }

  async function isReadable(): Promise<boolean> {
    const response = await hub.response(endpoints.downloadContent, { params: { sha256 } });
    return response.status === 200 && (await response.text()) === text;
  }

  it('leaves a content that was recorded again after it had looked', async () => {
    await unreferenced();
    const { contents } = hub.context.catalog;
    const looked = Promise.withResolvers<void>();
    const find = contents.unreferenced.bind(contents);
    vi.spyOn(contents, 'unreferenced').mockImplementation(async (options) => {
      const page = await find(options);
      looked.resolve();
      return page;
    });
    // An upload holds the lock of its content from the question whether it is kept to the recording.
    const { vault, hostFiles } = hub.context;
    const lock = await vault.lock(sha256);
    const collecting = collect();
    await looked.promise;
    expect(await vault.presence(sha256)).toMatchObject({ kind: 'kept' });
    const description = {
      hostname: 'box',
      filepath: '/after',
      sha256,
      size: text.length,
      mtime: null,
      mode: null,
    };
    await hostFiles.record(await principalOf(hub), description);
    await lock[Symbol.asyncDispose]();
    expect(await collecting).toMatchObject({ removed_contents: 0, failed: [] });
    expect(await isReadable()).toBe(true);
  });

  it('lets an upload that comes after the mark store the content anew', async () => {
    await unreferenced();
    const { contents } = hub.context.catalog;
    const marked = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const mark = contents.beginRemoval.bind(contents);
    vi.spyOn(contents, 'beginRemoval').mockImplementationOnce(async (...args) => {
      const rows = await mark(...args);
      marked.resolve();
      await goOn.promise;
      return rows;
    });
    const collecting = collect();
    await marked.promise;
    const uploading = keepFile(hub, { filepath: '/after', bytes: text });
    goOn.resolve();
    expect((await uploading).version).toBe(1);
    expect(await collecting).toMatchObject({ removed_contents: 1, failed: [] });
    expect(await isReadable()).toBe(true);
  });

  it('leaves what is restored at the last moment', async () => {
    const file = await keepFile(hub, { filepath: '/restored', bytes: text });
    const notice = { params: { sha256 }, body: { hostname: 'box', filepath: '/restored' } };
    await hub.call(endpoints.deleteHostFile, notice);
    const { hostFiles, contents } = hub.context.catalog;
    // The retention ends just now, while somebody restores the file.
    const purge = hostFiles.purge.bind(hostFiles);
    vi.spyOn(hostFiles, 'purge').mockImplementationOnce(async (_before, limit) => {
      await hub.call(endpoints.restoreHostFile, { params: { file_id: file.id } });
      return purge(new Date(Date.now() + 1000), limit);
    });
    expect(await collect()).toMatchObject({ purged_files: 0, removed_contents: 0 });
    expect(await isReadable()).toBe(true);
    expect((await contents.get(sha256))?.state).toBe('stored');
  });
});

describe('the sweep at start', () => {
  it('ends removals that were interrupted, removes leftovers, and says so in one line', async () => {
    const [file, kept] = await keepFiles(hub, [
      { filepath: '/a', bytes: 'interrupted' },
      { filepath: '/b', bytes: 'kept' },
    ]);
    if (file === undefined || kept === undefined) throw new Error('nothing was kept');
    await deleteLongAgo([file]);
    const { catalog } = hub.context;
    await catalog.hostFiles.purge(new Date(), 10);
    await catalog.contents.beginRemoval(
      [file.sha256],
      (await readFile(join(hub.dataDir, 'hub.id'), 'utf8')).trim(),
    );
    await leaveBehind('left by a crash');

    await hub.restart();
    expect(await hub.context.catalog.contents.get(file.sha256)).toBeNull();
    expect(await collect()).toEqual(nothing); // waits for the sweep
    expect(await vaultFiles()).toEqual([kept.sha256]);
    const lines = hub
      .logs()
      .split('\n')
      .filter((line) => line.includes('swept its vault'));
    expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([
      { backend: 'default', removals_ended: 1, files_removed: 1, bytes: 15 },
    ]);
    await hub.restart();
    await collect();
    expect(hub.logs().match(/swept its vault/g)).toHaveLength(1);
  });
});
