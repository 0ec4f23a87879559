import { isHoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Catalog } from './catalog.ts';
import { describeDialects } from './dialect-fixture.ts';
import type { HostFileReach } from './host-files.ts';
import { quotaRefusal } from './key-usage.ts';
import type { KeyUsage } from './key-usage.ts';
import { UploadFixture, digest, newKey, noticeOf } from './upload-fixture.ts';

const all: HostFileReach = { kind: 'all' };
const nothing: KeyUsage = { bytes: 0, files: 0, reservedBytes: 0, reservedFiles: 0 };

describe('a quota', () => {
  const quota = { name: 'agent', bytes: 100, files: 2 };

  test('is kept to the last byte and file, reservations included', () => {
    const usage = { bytes: 50, files: 1, reservedBytes: 20, reservedFiles: 0 };
    expect(quotaRefusal(quota, usage, { bytes: 30, files: 1 })).toBeNull();
    expect(quotaRefusal(quota, usage, { bytes: 31, files: 1 })?.message).toContain('31 more do not fit');
    expect(quotaRefusal(quota, usage, { bytes: 1, files: 2 })?.errors?.[0]?.field).toBe('filepath');
  });

  test('that is used up refuses nothing that takes no room', () => {
    const usage = { ...nothing, bytes: 500, files: 1 };
    expect(quotaRefusal(quota, usage, { bytes: 0, files: 1 })).toBeNull();
    expect(quotaRefusal(quota, { ...usage, files: 9 }, { bytes: 0, files: 0 })).toBeNull();
  });

  test('of a key that has none, or is gone, refuses nothing', () => {
    const much = { bytes: 2 ** 50, files: 1_000 };
    expect(quotaRefusal({ name: 'agent', bytes: null, files: null }, nothing, much)).toBeNull();
    expect(quotaRefusal(null, nothing, much)).toBeNull();
  });
});

/** What happens to a catalog; the numbers choose among what is there. */
const step = fc.record({
  kind: fc.constantFrom(
    'insert',
    'insert',
    'pieces',
    'advance',
    'size',
    'complete',
    'complete',
    'abort',
    'expire',
    'record',
    'record',
    'delete',
    'restore',
    'purge',
    'tombstones',
    'collect',
    'forget',
  ),
  pick: fc.nat({ max: 1_000 }),
  key: fc.nat({ max: 1 }),
  size: fc.constantFrom(0, 1, 40, 90),
});

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

describeDialects(({ open, freshUrl, tables }) => {
  test('what is counted for a key is what its rows say, whatever happens, one by one or at once', async () => {
    const url = await freshUrl();
    const hubs = [await open(url), await open(url)] as const;
    const fixture = await UploadFixture.make(hubs[0], { quotaBytes: 400, quotaFiles: 9 });
    const keyIds = [fixture.keyId, await newKey(hubs[0])] as const;
    const db = await tables(url);
    let clock = 1_000;

    async function usageByRows(keyId: string): Promise<KeyUsage> {
      const files = await db.selectFrom('host_files').select('size').where('key_id', '=', keyId).execute();
      const sessions = await db
        .selectFrom('uploads')
        .select(['reserved_bytes', 'reserved_files'])
        .where('key_id', '=', keyId)
        .where('status', 'in', ['initiated', 'uploading', 'completing'])
        .execute();
      return {
        bytes: files.reduce((sum, { size }) => sum + size, 0),
        files: files.length,
        reservedBytes: sessions.reduce((sum, row) => sum + row.reserved_bytes, 0),
        reservedFiles: sessions.reduce((sum, row) => sum + row.reserved_files, 0),
      };
    }

    async function run(catalog: Catalog, { kind, pick, key, size }: Step): Promise<void> {
      const { uploads, hostFiles, contents } = catalog;
      clock += 10;
      const at = new Date(clock);
      const keyId = keyIds[key === 0 ? 0 : 1];
      const sessions = (await uploads.list({ limit: 100 })).rows;
      const session = sessions[pick % Math.max(1, sessions.length)];
      const versions = (await hostFiles.list({ reach: all, status: 'all', versions: 'all', limit: 100 }))
        .rows;
      const version = versions[pick % Math.max(1, versions.length)];
      const sha256 = digest(`${size}`);
      switch (kind) {
        case 'insert':
          await uploads.insert(
            fixture.upload({
              keyId,
              protocol: pick % 3 === 0 ? 'tus' : 'chunks',
              size: pick % 6 === 0 ? null : size,
              isPartial: pick % 5 === 0,
              filepath: `/${pick % 3}`,
              expiresAt: new Date(clock + 50),
            }),
          );
          break;
        case 'pieces':
          if (session === undefined) break;
          await uploads.addPieces(
            [{ uploadId: session.id, num: pick % 4, position: 0, bytes: 1, sha256, receipt: null }],
            at,
          );
          break;
        case 'advance':
          if (session === undefined) break;
          await uploads.advance({
            id: session.id,
            from: session.receivedBytes,
            to: session.receivedBytes + size,
            sha256: null,
            receipt: null,
            expiresAt: at,
          });
          break;
        case 'size':
          if (session !== undefined) await uploads.setSize(session.id, size);
          break;
        case 'complete':
          // Its bytes are as many as it reserved for.
          if (session === undefined || session.size === null || session.isPartial) break;
          await uploads.transition(session.id, ['initiated', 'uploading'], 'completing');
          await uploads.finish({
            id: session.id,
            content: {
              sha256: digest(`${session.size}`),
              size: session.size,
              backendId: fixture.backendId,
              published: pick % 2 === 0,
            },
            at,
          });
          break;
        case 'abort':
          if (session === undefined) break;
          await uploads.transition(session.id, ['initiated', 'uploading', 'completing'], 'aborted', {
            finishedAt: at,
          });
          break;
        case 'expire':
          if (session !== undefined) await uploads.expire(session.id, at);
          break;
        case 'record':
          await hostFiles.recordMany(
            [0, 1].map((index) =>
              fixture.file({
                keyId: keyIds[(key + index) % 2 === 0 ? 0 : 1],
                filepath: `/${(pick + index) % 3}`,
                sha256,
                content: { size, backendId: fixture.backendId, published: true },
              }),
            ),
            at,
          );
          break;
        case 'delete':
          if (version === undefined) break;
          await hostFiles.markDeletedMany([noticeOf(version)], { reach: all, at });
          break;
        case 'restore':
          if (version === undefined) break;
          await hostFiles.restore(version.id, {
            reach: all,
            keyId,
            actor: 'ada',
            at,
            deletedAfter: new Date(0),
          });
          break;
        case 'purge':
          await hostFiles.purge(at, 1 + (pick % 3));
          break;
        case 'tombstones':
          await uploads.purge(at, 2);
          break;
        case 'collect': {
          const free = await contents.unreferenced({ limit: 100 });
          const marked = await contents.beginRemoval(
            free.contents.map((content) => content.sha256),
            'hub-1',
          );
          await contents.finishRemoval(
            marked.map((content) => content.sha256),
            'hub-1',
          );
          break;
        }
        case 'forget': {
          // A second backend that comes with a version of a file and goes.
          if (pick % 4 !== 0) break;
          const doomed = await catalog.backends.insert({
            name: `doomed ${clock}`,
            type: 'local',
            config: {},
          });
          await hostFiles.record(
            fixture.file({
              keyId,
              sha256: digest(`doomed ${clock}`),
              content: { size, backendId: doomed.id, published: true },
            }),
            at,
          );
          await catalog.backends.remove(doomed.id, { force: true });
          break;
        }
      }
    }

    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 }),
        async (rounds) => {
          for (const table of ['upload_pieces', 'uploads', 'host_files', 'contents', 'key_usage'] as const) {
            await db.deleteFrom(table).execute();
          }
          for (const round of rounds) {
            const results = await Promise.allSettled(
              round.map((action, index) => run(hubs[index % 2 === 0 ? 0 : 1], action)),
            );
            for (const result of results) {
              if (result.status === 'fulfilled') continue;
              const reason: unknown = result.reason;
              expect(['quota_exceeded', 'conflict', 'invalid_request'], String(reason)).toContain(
                isHoldfastError(reason) ? reason.code : reason,
              );
            }
            for (const keyId of keyIds) {
              expect(await hubs[0].keys.usage(keyId)).toEqual(await usageByRows(keyId));
            }
            const usage = await hubs[1].keys.usage(keyIds[0]);
            expect(usage.bytes + usage.reservedBytes).toBeLessThanOrEqual(400);
            expect(usage.files + usage.reservedFiles).toBeLessThanOrEqual(9);
          }
        },
      ),
      { numRuns: 20 },
    );
  }, 120_000);
});
