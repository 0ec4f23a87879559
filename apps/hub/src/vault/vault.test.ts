import { readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import { startNginx } from '@holdfast/test-support/nginx';
import { keepFile } from '../host-files/testing/kept-files.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

async function addBackend(name: string): Promise<{ id: string; root: string }> {
  const root = join(hub.dataDir, name);
  const { row } = await hub.context.backends.create({ name, type: 'local', config: { root }, create: true });
  return { id: row.id, root };
}

function vaultPath(root: string, sha256: string): string {
  return join(root, '.holdfast', 'vault', sha256.slice(0, 2), sha256);
}

describe('the backend that takes uploads', () => {
  it('is the named one, or that of the settings', async () => {
    const { id } = await addBackend('named');
    expect(hub.context.vault.backendFor().id).toBe(hub.backendId);
    expect(hub.context.vault.backendFor(id).id).toBe(id);
  });

  it('is asked for with a sentence when there is none, or none that can', async () => {
    const { vault, settings } = hub.context;
    await settings.update({ default_ingest_backend_id: null });
    expect(() => vault.backendFor()).toThrow(/set default_ingest_backend_id/);
    await settings.update({ default_ingest_backend_id: hub.backendId });
    expect(() => vault.backendFor('nobody')).toThrow(expect.objectContaining({ code: 'backend_not_found' }));

    await using site = await startNginx(hub.dataDir);
    const server = await hub.context.backends.create({
      name: 'site',
      type: 'http',
      config: { base_url: site.url, auth_method: 'none', listing: 'none', writable: false },
    });
    expect(() => vault.backendFor(server.row.id)).toThrow(expect.objectContaining({ code: 'read_only' }));
  });
});

describe('what is kept of a content', () => {
  it('is nothing, all of it, or only the row', async () => {
    const { vault } = hub.context;
    expect(await vault.presence(sha256Hex('never'))).toEqual({ kind: 'absent' });
    const { sha256, size } = await keepFile(hub, { filepath: '/present', bytes: 'present' });
    expect(await vault.presence(sha256)).toEqual({ kind: 'kept', backendId: hub.backendId, size });
    await unlink(vaultPath(hub.root, sha256));
    expect(await vault.presence(sha256)).toEqual({ kind: 'lost', backendId: hub.backendId });
  });

  it('is taken in anew where a backend is away, and read from there', async () => {
    const first = await addBackend('goes away');
    const second = await addBackend('steps in');
    const sample = { hostname: 'anew', filepath: '/a', bytes: 'worth keeping' };
    const { sha256 } = await keepFile(hub, sample, { backendId: first.id });
    await rename(first.root, `${first.root}.away`);
    const download = { params: { sha256 } };
    expect((await hub.refusal(endpoints.downloadContent, download)).code).toBe('backend_unavailable');

    await keepFile(hub, { ...sample, hostname: 'another' }, { backendId: second.id });
    expect(await (await hub.response(endpoints.downloadContent, download)).text()).toBe('worth keeping');
    const { backend_name } = await hub.call(endpoints.getContent, download);
    expect(backend_name).toBe('steps in');

    // The copy that comes back is one too many, and goes with the next collection.
    await rename(`${first.root}.away`, first.root);
    const { data } = await hub.call(endpoints.collectVault, { body: {} });
    const operation = await hub.finished(data.operation_id);
    expect(operation.details).toMatchObject({ orphans: 1, orphan_bytes: 13 });
    await expect(stat(vaultPath(first.root, sha256))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await (await hub.response(endpoints.downloadContent, download)).text()).toBe('worth keeping');
  });

  it('is revived when the removal of this hub was interrupted, and waited for when it is another hub', async () => {
    const { vault, catalog } = hub.context;
    const hubId = (await readFile(join(hub.dataDir, 'hub.id'), 'utf8')).trim();
    const { sha256 } = await keepFile(hub, { hostname: 'marked', filepath: '/a', bytes: 'marked' });
    await hub.context.catalog.hostFiles.markDeletedMany([{ hostname: 'marked', filepath: '/a', sha256 }], {
      reach: { kind: 'all' },
      at: new Date(0),
    });
    await catalog.hostFiles.purge(new Date(1), 10);
    const [own] = await catalog.contents.beginRemoval([sha256], hubId);
    expect(own?.state).toBe('removing');
    expect(await vault.presence(sha256)).toMatchObject({ kind: 'kept' });
    expect((await catalog.contents.get(sha256))?.state).toBe('stored');

    await catalog.contents.beginRemoval([sha256], 'another hub');
    await expect(vault.presence(sha256)).rejects.toMatchObject({ code: 'busy', retryable: true });
    const [outcome] = await vault.storeMany(vault.backendFor(), [{ sha256, bytes: Buffer.from('marked') }]);
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'busy' } });
    await catalog.contents.revive(sha256, 'another hub');
  });
});

describe('storing many at once', () => {
  it('answers each: stored, there already, or refused for other bytes', async () => {
    const { vault } = hub.context;
    const there = await keepFile(hub, { filepath: '/there', bytes: 'there already' });
    const sample = (text: string) => ({ sha256: sha256Hex(text), bytes: Buffer.from(text) });
    const contents = [
      sample('new'),
      { sha256: there.sha256, bytes: Buffer.from('there already') },
      { sha256: sha256Hex('announced'), bytes: Buffer.from('sent') },
      sample('new'),
      sample(''),
    ];
    const outcomes = await vault.storeMany(vault.backendFor(), contents);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['stored', 'duplicate', 'failed', 'stored', 'stored']);
    expect(outcomes[2]).toMatchObject({ error: { code: 'checksum_mismatch' } });
    expect((await stat(vaultPath(hub.root, sha256Hex('new')))).size).toBe(3);
    await expect(stat(vaultPath(hub.root, sha256Hex('announced')))).rejects.toThrow(/ENOENT/);
  });
});

describe('removing a backend that keeps contents', () => {
  it('is refused, and with force takes the contents and their host files along', async () => {
    const { id } = await addBackend('in use');
    const kept = await keepFile(
      hub,
      { hostname: 'forced', filepath: '/a', bytes: 'forced away' },
      { backendId: id },
    );
    const elsewhere = await keepFile(hub, { hostname: 'forced', filepath: '/b', bytes: 'stays' });
    const refused = await hub.refusal(endpoints.deleteBackend, { params: { id } });
    expect([refused.status, refused.code]).toEqual([409, 'backend_in_use']);
    expect(refused.detail).toContain('1 content');

    await hub.call(endpoints.deleteBackend, { params: { id }, query: { force: true } });
    const { files } = await hub.call(endpoints.listHostFiles, {
      query: { hostname: 'forced', status: 'all' },
    });
    expect(files.map(({ sha256 }) => sha256)).toEqual([elsewhere.sha256]);
    const gone = await hub.refusal(endpoints.getContent, { params: { sha256: kept.sha256 } });
    expect(gone.code).toBe('content_not_found');
  });
});

describe('statistics', () => {
  it('tell what is kept once and how often it is referred to', async () => {
    const before = (await hub.call(endpoints.getVault)).data;
    const files = ['/x', '/y'].map((filepath) => ({ hostname: 'counted', filepath, bytes: 'counted twice' }));
    for (const file of files) await keepFile(hub, file);
    const after = (await hub.call(endpoints.getVault)).data;
    expect(after.contents - before.contents).toBe(1);
    expect(after.bytes - before.bytes).toBe(13);
    expect(after.host_files - before.host_files).toBe(2);
    expect(after.host_file_bytes - before.host_file_bytes).toBe(26);
  });
});
