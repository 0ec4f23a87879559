import { unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import type { Event } from '@holdfast/contract/events';
import { vaultVerifyReport, type VaultVerifyReport } from '@holdfast/contract/host-files';
import { keepFile } from '../host-files/testing/kept-files.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { refusalOf, sampleFile, UploadClient } from '../testing/upload-client.ts';

const CHUNK = 64 * 1024;

let hub: TestHub;
let client: UploadClient;
beforeAll(async () => {
  hub = await startTestHub();
  client = new UploadClient(hub);
});
afterAll(() => hub[Symbol.asyncDispose]());

const pathOf = (sha256: string): string => join(hub.root, '.holdfast/vault', sha256.slice(0, 2), sha256);

async function verify(body: Record<string, unknown>): Promise<VaultVerifyReport> {
  const { data } = await hub.call(endpoints.verifyVault, { body });
  return vaultVerifyReport.parse((await hub.finished(data.operation_id)).details);
}

async function stateOf(sha256: string): Promise<{ status: string; problem: string | null }> {
  const { status, problem } = await hub.call(endpoints.getContent, { params: { sha256 } });
  return { status, problem };
}

describe('a verification of the vault', () => {
  it('finds nothing where all is well, and counts what it has read', async () => {
    const [one, two] = [sampleFile(CHUNK + 1), sampleFile(10)];
    for (const file of [one, two]) await client.upload(file, CHUNK);
    expect(await verify({ sha256: [one.sha256, two.sha256] })).toMatchObject({
      checked: 2,
      bytes: CHUNK + 11,
      damaged: [],
      failed: [],
    });
    expect(await stateOf(one.sha256)).toEqual({ status: 'stored', problem: null });
  });

  it('looks at the contents of one machine, or of paths, only', async () => {
    const files = ['/x/a', '/x/b', '/y/c'].map((filepath) => sampleFile(9, { hostname: 'narrow', filepath }));
    for (const file of files) await client.upload(file);
    expect(await verify({ hostname: 'narrow' })).toMatchObject({ checked: 3 });
    expect(await verify({ hostname: 'narrow', path_prefix: '/x/' })).toMatchObject({ checked: 2 });
    expect(await verify({ hostname: 'nobody' })).toMatchObject({ checked: 0 });
  });

  it('names what is damaged, notes it, and tells it once', async () => {
    const [rotten, gone] = [sampleFile(CHUNK), sampleFile(CHUNK)];
    for (const file of [rotten, gone]) await client.upload(file, CHUNK);
    await writeFile(pathOf(rotten.sha256), Buffer.alloc(CHUNK, 'rot'));
    await unlink(pathOf(gone.sha256));
    const events: Event[] = [];
    const unsubscribe = hub.context.events.subscribe((event) => void events.push(event));
    const wanted = { sha256: [rotten.sha256, gone.sha256] };
    const { damaged, damaged_count } = await verify(wanted);
    expect(damaged_count).toBe(2);
    expect(damaged).toHaveLength(2);
    for (const [file, problem] of [[rotten, 'mismatch'] as const, [gone, 'missing'] as const]) {
      const { sha256, hostname, filepath } = file;
      expect(damaged).toContainEqual({
        sha256,
        backend_id: hub.backendId,
        problem,
        host_files: [{ hostname, filepath, version: 1 }],
      });
      expect(await stateOf(sha256)).toEqual({ status: 'damaged', problem });
      const download = hub.response(endpoints.downloadContent, { params: { sha256 } });
      expect(await refusalOf(download)).toMatchObject({ status: 503, code: 'backend_unavailable' });
    }
    await verify(wanted);
    unsubscribe();
    const told = events.filter((event) => event.type === 'content.damaged');
    expect(told.map(({ sha256 }) => sha256).toSorted()).toEqual(wanted.sha256.toSorted());
  });

  it.each(['chunks', 'a batch'])('is followed by an upload in %s that mends what is damaged', async (way) => {
    const file = sampleFile(CHUNK);
    await client.upload(file, CHUNK);
    await writeFile(pathOf(file.sha256), Buffer.alloc(CHUNK, 'rot'));
    await verify({ sha256: [file.sha256] });
    const check = { body: { sha256: [file.sha256] } };
    expect((await hub.call(endpoints.checkContents, check)).known).toEqual([]);

    const again = { ...file, filepath: '/another' };
    if (way === 'chunks') expect(await client.upload(again, CHUNK)).toMatchObject({ deduplicated: false });
    else await keepFile(hub, again);
    expect(await client.content(file.sha256)).toEqual(file.bytes);
    expect(await stateOf(file.sha256)).toEqual({ status: 'stored', problem: null });
    expect((await hub.call(endpoints.checkContents, check)).known).toEqual([file.sha256]);
    expect(await verify({ sha256: [file.sha256] })).toMatchObject({ checked: 1, damaged: [] });
  });

  it('takes its note back when the bytes are there again', async () => {
    const file = sampleFile(CHUNK);
    await client.upload(file, CHUNK);
    await writeFile(pathOf(file.sha256), Buffer.alloc(CHUNK, 'rot'));
    await verify({ sha256: [file.sha256] });
    await writeFile(pathOf(file.sha256), file.bytes);
    expect(await verify({ sha256: [file.sha256] })).toMatchObject({ damaged: [] });
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('goes on after a restart from where it was', async () => {
    const files = [sampleFile(CHUNK), sampleFile(CHUNK)].toSorted((a, b) => (a.sha256 < b.sha256 ? -1 : 1));
    for (const file of files) await client.upload(file, CHUNK);
    const sha256 = files.map((file) => file.sha256);
    // At this rate the second content is not due within the life of this test.
    const slow = { sha256, rate_limit_mbps: 0.0001 };
    const { data } = await hub.call(endpoints.verifyVault, { body: slow });
    const other = hub.response(endpoints.verifyVault, { body: {} });
    expect(await refusalOf(other)).toMatchObject({ status: 409, code: 'conflict' });
    await hub.restart();
    const { operation } = await operationOf(data.operation_id);
    expect(operation).toMatchObject({ state: 'running', details: { sha256 } });
  });
});

async function operationOf(id: string): Promise<{ operation: { state: string; details: unknown } }> {
  const { data } = await hub.call(endpoints.listOperations, { query: { operation: 'verify', limit: 1000 } });
  const operation = data.find(({ operation_id }) => operation_id === id);
  if (operation === undefined) throw new Error(`There is no operation ${id}.`);
  return { operation };
}
