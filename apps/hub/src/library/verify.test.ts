import { mkdir, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { openCatalog } from '@holdfast/catalog/catalog';
import { backfillReport, type BackfillReport } from '@holdfast/contract/checksums';
import { endpoints } from '@holdfast/contract/endpoints';
import { verifyReport, type VerifyReport } from '@holdfast/contract/files';
import type { Operation } from '@holdfast/contract/operations';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let params: { id: string };
beforeAll(async () => {
  hub = await startTestHub();
  params = { id: hub.backendId };
});
afterAll(() => hub[Symbol.asyncDispose]());

async function verify(
  path: string,
  recursive: boolean,
): Promise<{ operation: Operation; report: VerifyReport }> {
  const { data } = await hub.call(endpoints.verifyFiles, { params, body: { path, recursive } });
  expect(data).toMatchObject({ operation: 'verify', state: 'running', success: null, file: path });
  const operation = await hub.finished(data.operation_id);
  return { operation, report: verifyReport.parse(operation.details) };
}

/** Makes the record say other bytes under the very validator that the file has, as a flipped bit on the disk would. */
async function rot(path: string): Promise<void> {
  const { checksums } = hub.context.catalog;
  const good = await checksums.get(params.id, path);
  if (good === null) throw new Error(`${path} has no record`);
  await checksums.put({ ...good, sha256: sha256Hex('the bytes as they were stored') });
}

describe('a verification', () => {
  it('of sound files succeeds and counts them', async () => {
    await hub.upload('/sound/a', 'aaa');
    await hub.upload('/sound/b/c', 'cc');
    const { operation, report } = await verify('/sound', true);
    expect(operation).toMatchObject({ state: 'finished', success: true, error: null, bytes: 5 });
    expect(report).toMatchObject({ files_checked: 2, bytes_checked: 5, drifted_count: 0, failed_count: 0 });
  });

  it('finds the bytes that changed without a trace, and reports both digests', async () => {
    await hub.upload('/drift/a', 'aaa');
    await hub.upload('/drift/b', 'bbb');
    await rot('/drift/b');
    const { operation, report } = await verify('/drift', false);
    expect(operation).toMatchObject({ success: false, error: { code: 'checksum_mismatch' } });
    expect(report).toMatchObject({ files_checked: 2, drifted_count: 1 });
    const expected = {
      path: '/drift/b',
      expected_sha256: sha256Hex('the bytes as they were stored'),
      actual_sha256: sha256Hex('bbb'),
    };
    expect(report.drifted).toEqual([expected]);
    // what it has found stays to be found again: the record is not mended by looking
    expect((await verify('/drift/b', false)).report.drifted_count).toBe(1);
  });

  it('leaves the folders below alone without recursive', async () => {
    await hub.upload('/flat/a', 'a');
    await hub.upload('/flat/below/b', 'b');
    await rot('/flat/below/b');
    expect((await verify('/flat', false)).report).toMatchObject({ files_checked: 1, drifted_count: 0 });
    expect((await verify('/flat', true)).report).toMatchObject({ files_checked: 2, drifted_count: 1 });
  });

  it('gives a file that has no checksum its first one', async () => {
    await mkdir(`${hub.root}/first`);
    await writeFile(`${hub.root}/first/file`, 'first');
    expect((await verify('/first/file', false)).operation.success).toBe(true);
    expect((await hub.context.catalog.checksums.get(params.id, '/first/file'))?.sha256).toBe(
      sha256Hex('first'),
    );
  });

  it('of what is not there is refused', async () => {
    const refused = await hub.refusal(endpoints.verifyFiles, { params, body: { path: '/not/there' } });
    expect(refused).toMatchObject({ code: 'file_not_found', status: 404 });
  });
});

describe('a backfill', () => {
  async function hubWithFiles(count: number): Promise<{ other: TestHub; paths: string[] }> {
    const other = await startTestHub();
    const paths = Array.from({ length: count }, (_, index) => `/folder-${index % 3}/file-${index}`);
    for (const path of paths) {
      await mkdir(`${other.root}${path.slice(0, path.lastIndexOf('/'))}`, { recursive: true });
      await writeFile(`${other.root}${path}`, path);
    }
    return { other, paths };
  }
  const missing = async (of: TestHub, paths: string[]): Promise<number> =>
    paths.length - (await of.context.catalog.checksums.getMany(of.backendId, paths)).size;

  it('computes what is missing, and only that', async () => {
    const { other, paths } = await hubWithFiles(12);
    await using owned = other;
    await owned.upload('/known', 'known');
    const { data } = await owned.call(endpoints.backfillChecksums, { body: { batch_size: 5 } });
    const done = await owned.finished(data.operation_id);
    expect(done).toMatchObject({ operation: 'sync', success: true });
    const report = backfillReport.parse(done.details);
    expect(report).toMatchObject({ files_seen: 13, files_missing: 12, files_hashed: 12, files_failed: 0 });
    expect(report.bytes_hashed).toBe(paths.join('').length);
    expect(await missing(owned, paths)).toBe(0);
  });

  it('changes nothing as a dry run', async () => {
    const { other, paths } = await hubWithFiles(4);
    await using owned = other;
    const { data } = await owned.call(endpoints.backfillChecksums, {
      body: { dry_run: true, backend_id: owned.backendId },
    });
    const report = backfillReport.parse((await owned.finished(data.operation_id)).details);
    expect(report).toMatchObject({
      dry_run: true,
      files_seen: 4,
      files_missing: 4,
      files_hashed: 0,
      bytes_hashed: 0,
    });
    expect(await missing(owned, paths)).toBe(4);
  });

  it('is refused while one is running, and goes on after a restart to the same result', async () => {
    const { other, paths } = await hubWithFiles(6);
    await using owned = other;
    // at one bit a second the first file holds it up until the hub stops
    const body = { batch_size: 4, rate_limit_mbps: 0.000_001 };
    const { data } = await owned.call(endpoints.backfillChecksums, { body });
    expect(await owned.refusal(endpoints.backfillChecksums, { body })).toMatchObject({ code: 'conflict' });
    await vi.waitUntil(async () => (await missing(owned, paths)) === 5, { timeout: 20_000, interval: 20 });
    await owned.stop();
    const halfDone = await withoutRateLimit(owned, data.operation_id);
    expect(halfDone).toMatchObject({ files_seen: 1, files_missing: 1, files_hashed: 1 });

    await owned.restart();
    const done = await owned.finished(data.operation_id);
    expect(done.success).toBe(true);
    expect(backfillReport.parse(done.details)).toMatchObject({
      files_seen: 6,
      files_missing: 6,
      files_hashed: 6,
      files_failed: 0,
    });
    expect(await missing(owned, paths)).toBe(0);
  });

  /** Lifts the limit in what a stopped hub has noted for its next start; resolves to how far it came. */
  async function withoutRateLimit(of: TestHub, operationId: string): Promise<BackfillReport> {
    await using catalog = await openCatalog({ url: of.context.config.databaseUrl });
    const row = await catalog.operations.get(operationId);
    expect(row?.state).toBe('running');
    await catalog.operations.update(operationId, { details: { ...row?.details, rate_limit_mbps: null } });
    return backfillReport.parse(row?.details);
  }

  it('of a backend that does not exist is refused', async () => {
    expect(await hub.refusal(endpoints.backfillChecksums, { body: { backend_id: 'none' } })).toMatchObject({
      code: 'backend_not_found',
    });
  });
});
