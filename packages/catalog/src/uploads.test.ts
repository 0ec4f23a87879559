import { beforeEach, describe, expect, test } from 'vitest';
import type { Catalog } from './catalog.ts';
import { describeDialects } from './dialect-fixture.ts';
import { UploadFixture, digest, newKey, noticeOf } from './upload-fixture.ts';
import type { NewPiece, Upload, UploadStatus } from './uploads.ts';

const nothing = { bytes: 0, files: 0, reservedBytes: 0, reservedFiles: 0 };

describeDialects(({ open, freshUrl }) => {
  let catalog: Catalog;
  let fixture: UploadFixture;
  beforeEach(async () => {
    catalog = await open();
    fixture = await UploadFixture.make(catalog);
  });

  function piece(uploadId: string, num: number, changes: Partial<NewPiece> = {}): NewPiece {
    return {
      uploadId,
      num,
      position: num * 10,
      bytes: 10,
      sha256: digest(`chunk ${num}`),
      receipt: null,
      ...changes,
    };
  }

  describe('a session', () => {
    test('is read back as it was inserted', async () => {
      const { uploads } = catalog;
      const whole = fixture.upload({
        id: 'one',
        protocol: 'tus',
        sha256: digest('whole'),
        size: 2 ** 42,
        mtime: new Date(-5),
        mode: 0o755,
        stagingState: { uploadId: 's3' },
        metadata: { filename: 'plan', list: [1, null] },
        isPartial: true,
        createdAt: new Date(7),
        destinationPath: '/images/plan',
        overwrite: true,
      });
      const upload = await uploads.insert(whole);
      expect(upload).toEqual({
        ...whole,
        status: 'initiated',
        receivedBytes: 0,
        receivedPieces: 0,
        reservedBytes: 2 ** 42,
        reservedFiles: 0,
        fileId: null,
        deduplicated: null,
        errorCode: null,
        errorDetail: null,
        leaseHub: null,
        leaseUntil: null,
        finishedAt: null,
      });
      expect(await uploads.get('one')).toEqual(upload);
      expect(await uploads.getMany(['one', 'none'])).toEqual(new Map([['one', upload]]));
      expect(await uploads.get('none')).toBeNull();
    });

    test.each(['/nul\0byte', '/lone\ud800surrogate'])('for the path %j is refused', async (filepath) => {
      await expect(catalog.uploads.insert(fixture.upload({ filepath }))).rejects.toMatchObject({
        code: 'invalid_path',
      });
      expect(await catalog.keys.usage(fixture.keyId)).toEqual(nothing);
    });

    test('gets its staging while it takes bytes', async () => {
      const { uploads } = catalog;
      const { id } = await uploads.insert(fixture.upload());
      expect(await uploads.setStaging(id, { file: 1 })).toMatchObject({ stagingState: { file: 1 } });
      await uploads.transition(id, ['initiated'], 'aborted');
      expect(await uploads.setStaging(id, { file: 2 })).toBeNull();
      expect(await uploads.get(id)).toMatchObject({ stagingState: { file: 1 } });
    });

    test('is listed newest first, by key and status, page by page', async () => {
      const { uploads } = catalog;
      const other = await newKey(catalog);
      for (let index = 0; index < 25; index += 1) {
        const keyId = index % 5 === 0 ? other : fixture.keyId;
        await uploads.insert(
          fixture.upload({ id: `u${index}`, keyId, createdAt: new Date(Math.floor(index / 3)) }),
        );
      }
      await uploads.transition('u1', ['initiated'], 'failed');
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await uploads.list({ keyId: fixture.keyId, limit: 7, ...(cursor && { cursor }) });
        expect(page.total).toBe(20);
        seen.push(...page.rows.map(({ id }) => id));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(new Set(seen).size).toBe(20);
      const times = seen.map((id) => Math.floor(Number(id.slice(1)) / 3));
      expect(times).toEqual(times.toSorted((a, b) => b - a));
      const failed = await uploads.list({ status: 'failed', limit: 10 });
      expect(failed.rows.map(({ id }) => id)).toEqual(['u1']);
      await expect(uploads.list({ limit: 1, cursor: 'x' })).rejects.toMatchObject({
        errors: [{ field: 'cursor' }],
      });
    });
  });

  describe('the reservation', () => {
    test('lasts from the insertion to the end', async () => {
      const { uploads, keys } = catalog;
      for (const to of ['failed', 'aborted', 'expired', 'completed'] satisfies UploadStatus[]) {
        const { id } = await uploads.insert(fixture.upload());
        expect(await keys.usage(fixture.keyId)).toEqual({
          ...nothing,
          reservedBytes: 100,
          reservedFiles: 1,
        });
        expect(await uploads.transition(id, ['uploading'], to)).toBeNull();
        const ended = await uploads.transition(id, ['initiated'], to, { finishedAt: new Date(5) });
        expect(ended).toMatchObject({
          status: to,
          reservedBytes: 0,
          reservedFiles: 0,
          finishedAt: new Date(5),
        });
        expect(await uploads.transition(id, ['initiated'], to)).toBeNull();
        expect(await keys.usage(fixture.keyId)).toEqual(nothing);
      }
    });

    test('keeps to the quota of bytes, and says which field is too large', async () => {
      const { uploads, keys } = catalog;
      const keyId = await newKey(catalog, { quotaBytes: 250 });
      await uploads.insert(fixture.upload({ keyId }));
      await uploads.insert(fixture.upload({ keyId, size: 150 }));
      await expect(uploads.insert(fixture.upload({ keyId, size: 1 }))).rejects.toMatchObject({
        code: 'quota_exceeded',
        message: expect.stringContaining('may keep 250 bytes'),
        errors: [{ field: 'file_size' }],
      });
      // What takes no room is never refused for want of room.
      await uploads.insert(fixture.upload({ keyId, size: 0 }));
      expect(await keys.usage(keyId)).toEqual({ ...nothing, reservedBytes: 250, reservedFiles: 3 });
      expect((await uploads.list({ keyId, limit: 10 })).total).toBe(3);
    });

    test('keeps to the quota of files', async () => {
      const { uploads } = catalog;
      const keyId = await newKey(catalog, { quotaFiles: 1 });
      await uploads.insert(fixture.upload({ keyId, isPartial: true }));
      await uploads.insert(fixture.upload({ keyId }));
      await expect(uploads.insert(fixture.upload({ keyId, size: 0 }))).rejects.toMatchObject({
        code: 'quota_exceeded',
        errors: [{ field: 'filepath' }],
      });
    });

    test('is exact when hubs compete for the last of it', async () => {
      const url = await freshUrl();
      const hubs = [await open(url), await open(url)] as const;
      const shared = await UploadFixture.make(hubs[0], { quotaBytes: 1_000 });
      const attempts = await Promise.allSettled(
        Array.from({ length: 30 }, (_, index) =>
          hubs[index % 2 === 0 ? 0 : 1].uploads.insert(shared.upload()),
        ),
      );
      const refused = attempts.flatMap((attempt) =>
        attempt.status === 'rejected' ? [attempt.reason as unknown] : [],
      );
      expect(refused).toHaveLength(20);
      for (const reason of refused) expect(reason).toMatchObject({ code: 'quota_exceeded' });
      expect(await hubs[1].keys.usage(shared.keyId)).toMatchObject({
        reservedBytes: 1_000,
        reservedFiles: 10,
      });
    });

    test('of a backend counts its live sessions', async () => {
      const { uploads } = catalog;
      const first = await uploads.insert(fixture.upload());
      await uploads.addPieces([piece(first.id, 0), piece(first.id, 4)], new Date(1));
      await fixture.completing(digest('x'), { size: 50 });
      const ended = await uploads.insert(fixture.upload());
      await uploads.transition(ended.id, ['initiated'], 'aborted');
      await uploads.insert(fixture.upload({ backendId: 'other' }));
      expect(await uploads.reserved(fixture.backendId)).toEqual({
        bytes: 150,
        receivedBytes: 20,
        uploads: 2,
      });
      expect(await uploads.reserved('none')).toEqual({ bytes: 0, receivedBytes: 0, uploads: 0 });
    });
  });

  describe('pieces', () => {
    let upload: Upload;
    beforeEach(async () => {
      upload = await catalog.uploads.insert(fixture.upload());
    });

    test('of many sessions are noted together, in any order', async () => {
      const { uploads } = catalog;
      const others = await Promise.all(
        Array.from({ length: 250 }, () => uploads.insert(fixture.upload({ size: 2 ** 40 }))),
      );
      const large = others.map(({ id }) => piece(id, 3, { position: 2 ** 39, bytes: 2 ** 38 }));
      const answers = await uploads.addPieces(
        [piece(upload.id, 9, { receipt: 'etag-9' }), ...large, piece(upload.id, 2), piece(upload.id, 3)],
        new Date(99_000),
      );
      expect(answers[0]).toEqual({ kind: 'added', receivedBytes: 30, receivedPieces: 3, receipt: 'etag-9' });
      expect(answers.at(-1)).toEqual({ kind: 'added', receivedBytes: 30, receivedPieces: 3, receipt: null });
      expect(answers.slice(1, -2)).toEqual(
        large.map(() => ({ kind: 'added', receivedBytes: 2 ** 38, receivedPieces: 1, receipt: null })),
      );
      expect(await uploads.get(upload.id)).toMatchObject({
        status: 'uploading',
        receivedBytes: 30,
        receivedPieces: 3,
        expiresAt: new Date(99_000),
      });
      expect(await uploads.pieces(upload.id)).toEqual(
        [2, 3, 9].map((num) => ({
          num,
          position: num * 10,
          bytes: 10,
          sha256: digest(`chunk ${num}`),
          receipt: num === 9 ? 'etag-9' : null,
        })),
      );
      expect(await uploads.piece(upload.id, 9)).toMatchObject({ num: 9, receipt: 'etag-9' });
      expect(await uploads.piece(upload.id, 8)).toBeNull();
      expect(await uploads.pieceNumbers(upload.id)).toEqual([
        [2, 3],
        [9, 9],
      ]);
      expect(await uploads.pieceNumbers('none')).toEqual([]);
    });

    test('that come again get the same answer, and other bytes are a conflict', async () => {
      const { uploads } = catalog;
      await uploads.addPieces([piece(upload.id, 0, { receipt: 'first' })], new Date(1));
      const answers = await uploads.addPieces(
        [
          piece(upload.id, 0, { receipt: 'second' }),
          piece(upload.id, 1),
          piece(upload.id, 1),
          piece(upload.id, 1, { sha256: digest('other') }),
          piece(upload.id, 0, { sha256: digest('other') }),
        ],
        new Date(20_000),
      );
      const progress = { receivedBytes: 20, receivedPieces: 2 };
      expect(answers).toEqual([
        { kind: 'same', ...progress, receipt: 'first' },
        { kind: 'added', ...progress, receipt: null },
        { kind: 'same', ...progress, receipt: null },
        { kind: 'conflict', sha256: digest('chunk 1') },
        { kind: 'conflict', sha256: digest('chunk 0') },
      ]);
      expect(await uploads.piece(upload.id, 0)).toMatchObject({ receipt: 'first' });
    });

    test('slide the expiry, but never back', async () => {
      const { uploads } = catalog;
      await uploads.addPieces([piece(upload.id, 0)], new Date(20_000));
      await uploads.addPieces([piece(upload.id, 1)], new Date(5_000));
      expect(await uploads.get(upload.id)).toMatchObject({ expiresAt: new Date(20_000) });
      await uploads.addPieces([piece(upload.id, 1)], new Date(30_000));
      expect(await uploads.get(upload.id)).toMatchObject({ expiresAt: new Date(30_000) });
      expect(await uploads.slide(upload.id, new Date(40_000))).toBe(true);
      expect(await uploads.slide(upload.id, new Date(1))).toBe(true);
      expect(await uploads.get(upload.id)).toMatchObject({ expiresAt: new Date(40_000) });
    });

    test.each(['completing', 'completed', 'failed', 'aborted', 'expired'] satisfies UploadStatus[])(
      'are not taken by a session that is %s, and the others of the group are',
      async (status) => {
        const { uploads } = catalog;
        const other = await uploads.insert(fixture.upload());
        await uploads.transition(upload.id, ['initiated'], status);
        const answers = await uploads.addPieces(
          [piece(upload.id, 0), piece(other.id, 0), piece('none', 0)],
          new Date(1),
        );
        expect(answers).toEqual([
          { kind: 'closed', status },
          { kind: 'added', receivedBytes: 10, receivedPieces: 1, receipt: null },
          { kind: 'closed', status: null },
        ]);
        expect(await uploads.pieces(upload.id)).toEqual([]);
        expect(await uploads.slide(upload.id, new Date(99_000))).toBe(false);
      },
    );

    test('from two hubs at once are each counted once', async () => {
      const url = await freshUrl();
      const hubs = [await open(url), await open(url)] as const;
      const shared = await UploadFixture.make(hubs[0]);
      const ids = await Promise.all(
        Array.from({ length: 4 }, async () => (await hubs[0].uploads.insert(shared.upload())).id),
      );
      const group = ids.flatMap((id) => Array.from({ length: 10 }, (_, num) => piece(id, num)));
      const answers = await Promise.all(
        Array.from({ length: 6 }, (_, index) =>
          hubs[index % 2 === 0 ? 0 : 1].uploads.addPieces(
            index < 3 ? group : group.toReversed(),
            new Date(1),
          ),
        ),
      );
      expect(answers.flat().filter(({ kind }) => kind === 'added')).toHaveLength(group.length);
      expect(answers.flat().filter(({ kind }) => kind === 'same')).toHaveLength(5 * group.length);
      for (const id of ids) {
        expect(await hubs[1].uploads.get(id)).toMatchObject({ receivedBytes: 100, receivedPieces: 10 });
      }
    });

    test('of an upload of 100,000 chunks are told as ranges', async () => {
      const { uploads } = catalog;
      const { id } = await uploads.insert(fixture.upload({ size: 1_000_000, totalChunks: 100_000 }));
      for (let start = 0; start < 100_000; start += 4_000) {
        const group = Array.from({ length: 4_000 }, (_, index) => start + index).filter(
          (num) => num !== 77_777,
        );
        await uploads.addPieces(
          group.map((num) => piece(id, num)),
          new Date(1),
        );
      }
      expect(await uploads.pieceNumbers(id)).toEqual([
        [0, 77_776],
        [77_778, 99_999],
      ]);
      expect((await uploads.pieces(id)).length).toBe(99_999);
      await uploads.transition(id, ['uploading'], 'aborted', { finishedAt: new Date(5) });
      expect(await uploads.purge(new Date(6), 10)).toBe(1);
      expect(await uploads.pieces(id)).toEqual([]);
    }, 120_000);
  });

  describe('the offset of a tus upload', () => {
    const step = { sha256: digest('part'), receipt: null, expiresAt: new Date(1) };

    test('moves only from where it stands', async () => {
      const { uploads } = catalog;
      const { id } = await uploads.insert(fixture.upload({ protocol: 'tus' }));
      expect(await uploads.advance({ ...step, id, from: 0, to: 40 })).toMatchObject({
        kind: 'advanced',
        upload: { status: 'uploading', receivedBytes: 40 },
      });
      expect(await uploads.advance({ ...step, id, from: 0, to: 50 })).toMatchObject({
        kind: 'offset',
        upload: { receivedBytes: 40 },
      });
      expect(await uploads.advance({ ...step, id, from: 40, to: 101 })).toMatchObject({
        kind: 'too_large',
        upload: { receivedBytes: 40 },
      });
      expect(await uploads.advance({ ...step, id, from: 40, to: 100 })).toMatchObject({ kind: 'advanced' });
      await expect(uploads.advance({ ...step, id, from: 100, to: 99 })).rejects.toMatchObject({
        code: 'invalid_request',
      });
      await uploads.transition(id, ['uploading'], 'completing');
      expect(await uploads.advance({ ...step, id, from: 100, to: 100 })).toEqual({
        kind: 'closed',
        status: 'completing',
      });
      expect(await uploads.advance({ ...step, id: 'none', from: 0, to: 1 })).toEqual({
        kind: 'closed',
        status: null,
      });
    });

    test('of two that move it at once one succeeds', async () => {
      const url = await freshUrl();
      const hubs = [await open(url), await open(url)] as const;
      const shared = await UploadFixture.make(hubs[0]);
      const { id } = await hubs[0].uploads.insert(shared.upload({ protocol: 'tus' }));
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, index) =>
          hubs[index % 2 === 0 ? 0 : 1].uploads.advance({ ...step, id, from: 0, to: 10 + index }),
        ),
      );
      expect(answers.filter(({ kind }) => kind === 'advanced')).toHaveLength(1);
      expect(answers.filter(({ kind }) => kind === 'offset')).toHaveLength(7);
      const { receivedBytes } = (await hubs[1].uploads.get(id)) ?? {};
      expect(await hubs[1].uploads.pieces(id)).toMatchObject([{ position: 0, bytes: receivedBytes }]);
    });

    test('leaves one piece, however many PATCHes there were, unless there are receipts', async () => {
      const { uploads } = catalog;
      const { id } = await uploads.insert(fixture.upload({ protocol: 'tus', size: 1_000 }));
      const receipts = [null, null, null, 'r1', 'r2', null, null];
      for (const [index, receipt] of receipts.entries()) {
        await uploads.advance({ ...step, id, receipt, from: index * 10, to: (index + 1) * 10 });
      }
      // An empty PATCH is no piece.
      await uploads.advance({ ...step, id, from: 70, to: 70, expiresAt: new Date(50_000) });
      expect(await uploads.pieces(id)).toEqual([
        { num: 0, position: 0, bytes: 30, sha256: null, receipt: null },
        { num: 1, position: 30, bytes: 10, sha256: digest('part'), receipt: 'r1' },
        { num: 2, position: 40, bytes: 10, sha256: digest('part'), receipt: 'r2' },
        { num: 3, position: 50, bytes: 20, sha256: null, receipt: null },
      ]);
      expect(await uploads.get(id)).toMatchObject({
        receivedBytes: 70,
        receivedPieces: 4,
        expiresAt: new Date(50_000),
      });
    });

    test('reserves along while the size is not known', async () => {
      const { uploads, keys } = catalog;
      const keyId = await newKey(catalog, { quotaBytes: 100 });
      const { id } = await uploads.insert(fixture.upload({ protocol: 'tus', keyId, size: null }));
      await uploads.advance({ ...step, id, from: 0, to: 60 });
      expect(await keys.usage(keyId)).toMatchObject({ reservedBytes: 60, reservedFiles: 1 });
      await expect(uploads.advance({ ...step, id, from: 60, to: 101 })).rejects.toMatchObject({
        code: 'quota_exceeded',
      });
      expect(await uploads.get(id)).toMatchObject({ receivedBytes: 60, reservedBytes: 60 });
      await expect(uploads.setSize(id, 59)).rejects.toMatchObject({ code: 'invalid_request' });
      await expect(uploads.setSize(id, 101)).rejects.toMatchObject({ code: 'quota_exceeded' });
      expect(await uploads.setSize(id, 80)).toMatchObject({ size: 80, reservedBytes: 80 });
      expect(await uploads.setSize(id, 80)).toMatchObject({ size: 80 });
      await expect(uploads.setSize(id, 90)).rejects.toMatchObject({ code: 'conflict' });
      expect(await keys.usage(keyId)).toMatchObject({ reservedBytes: 80 });
      await uploads.transition(id, ['uploading'], 'aborted');
      expect(await uploads.setSize(id, 80)).toBeNull();
      expect(await uploads.setSize('none', 80)).toBeNull();
      expect(await keys.usage(keyId)).toEqual(nothing);
    });
  });

  describe('completing', () => {
    const content = (published: boolean) => ({
      sha256: digest('a'),
      size: 100,
      backendId: fixture.backendId,
      published,
    });
    const at = new Date(2_000);

    test('makes content, host file and usage in one step, and answers again', async () => {
      const { uploads, keys, contents, hostFiles } = catalog;
      const { id } = await fixture.completing(digest('a'), { mtime: new Date(5), mode: 0o600 });
      const answer = await uploads.finish({ id, content: content(true), at });
      expect(answer).toMatchObject({
        kind: 'finished',
        created: true,
        file: {
          hostname: 'alpha',
          filepath: '/plan.txt',
          version: 1,
          sha256: digest('a'),
          size: 100,
          mtime: new Date(5),
          mode: 0o600,
          createdAt: at,
        },
        upload: { status: 'completed', deduplicated: false, finishedAt: at, reservedBytes: 0 },
      });
      if (answer.kind !== 'finished') throw new Error(answer.kind);
      expect(answer.upload.fileId).toBe(answer.file.id);
      expect(await hostFiles.get(answer.file.id, { kind: 'all' })).toEqual(answer.file);
      expect(await contents.get(digest('a'))).toEqual({
        sha256: digest('a'),
        size: 100,
        backendId: fixture.backendId,
        state: 'stored',
        removingBy: null,
        createdAt: at,
        damage: null,
      });
      expect(await keys.usage(fixture.keyId)).toEqual({ ...nothing, bytes: 100, files: 1 });
      expect(await uploads.finish({ id, content: content(true), at: new Date(3_000) })).toEqual({
        kind: 'ended',
        upload: answer.upload,
      });
    });

    test('of content that is there is told as deduplicated', async () => {
      const { uploads } = catalog;
      await fixture.record({ filepath: '/other' });
      const { id } = await fixture.completing(digest('a'));
      expect(await uploads.finish({ id, content: content(false), at })).toMatchObject({
        kind: 'finished',
        upload: { deduplicated: true },
      });
    });

    test('of a file that has these bytes makes no version, and gives the reservation back', async () => {
      const { uploads, keys } = catalog;
      const file = await fixture.record();
      const { id } = await fixture.completing(digest('a'));
      expect(await uploads.finish({ id, content: content(false), at })).toMatchObject({
        kind: 'finished',
        created: false,
        file: { id: file.id, version: 1 },
      });
      expect(await keys.usage(fixture.keyId)).toEqual({ ...nothing, bytes: 100, files: 1 });
    });

    test('is told, and changes nothing, when the content is missing or being removed', async () => {
      const { uploads, contents, keys, hostFiles } = catalog;
      const file = await fixture.record({ filepath: '/other' });
      await hostFiles.markDeletedMany([noticeOf(file)], { reach: { kind: 'all' }, at: new Date(1_500) });
      await hostFiles.purge(new Date(1_501), 10);
      expect(await contents.beginRemoval([digest('a')], 'hub-1')).toHaveLength(1);
      const { id } = await fixture.completing(digest('a'));
      for (const published of [true, false]) {
        expect(await uploads.finish({ id, content: content(published), at })).toEqual({
          kind: 'content_removing',
          removingBy: 'hub-1',
        });
      }
      await contents.finishRemoval([digest('a')], 'hub-1');
      expect(await uploads.finish({ id, content: content(false), at })).toEqual({ kind: 'content_missing' });
      expect(await uploads.get(id)).toMatchObject({ status: 'completing', reservedBytes: 100 });
      expect(await keys.usage(fixture.keyId)).toEqual({ ...nothing, reservedBytes: 100, reservedFiles: 1 });
      expect(await uploads.finish({ id: 'none', content: content(true), at })).toEqual({ kind: 'unknown' });
    });

    test('is refused when the session was aborted meanwhile', async () => {
      const { uploads, contents } = catalog;
      const { id } = await fixture.completing(digest('a'));
      await uploads.transition(id, ['completing'], 'aborted');
      expect(await uploads.finish({ id, content: content(true), at })).toMatchObject({
        kind: 'ended',
        upload: { status: 'aborted' },
      });
      expect(await contents.get(digest('a'))).toBeNull();
    });

    test('on a backend that is gone is refused, and can be tried again', async () => {
      const { uploads } = catalog;
      const { id } = await fixture.completing(digest('a'));
      await expect(
        uploads.finish({ id, content: { ...content(true), backendId: 'gone' }, at }),
      ).rejects.toMatchObject({ code: 'backend_not_found', message: expect.stringContaining('gone') });
      expect(await uploads.finish({ id, content: content(true), at })).toMatchObject({ kind: 'finished' });
    });

    test('notes where the bytes are when they were published somewhere else', async () => {
      const { uploads, contents, backends } = catalog;
      await fixture.record({ filepath: '/other' });
      const second = await backends.insert({ name: 'second', type: 'local', config: {} });
      const { id } = await fixture.completing(digest('a'));
      await uploads.finish({ id, content: { ...content(true), backendId: second.id }, at });
      expect(await contents.get(digest('a'))).toMatchObject({ backendId: second.id });
    });

    test('of the same content and file by many at once ends with one content and versions in a row', async () => {
      const url = await freshUrl();
      const hubs = [await open(url), await open(url)] as const;
      const shared = await UploadFixture.make(hubs[0]);
      const sessions = await Promise.all(
        Array.from({ length: 16 }, (_, index) =>
          shared.completing(digest(index % 2), { hostname: `host-${index % 4}` }),
        ),
      );
      const answers = await Promise.all(
        sessions.map(({ id }, index) =>
          hubs[index % 3 === 0 ? 0 : 1].uploads.finish({
            id,
            content: { sha256: digest(index % 2), size: 100, backendId: shared.backendId, published: true },
            at,
          }),
        ),
      );
      expect(answers.every(({ kind }) => kind === 'finished')).toBe(true);
      const { rows } = await hubs[0].hostFiles.list({
        reach: { kind: 'all' },
        status: 'all',
        versions: 'all',
        limit: 100,
      });
      // Each machine saw one content only, so that each has one version.
      expect(rows.map(({ hostname, version, isCurrent }) => [hostname, version, isCurrent])).toEqual(
        [0, 1, 2, 3].map((host) => [`host-${host}`, 1, true]),
      );
      expect(await hubs[0].keys.usage(shared.keyId)).toEqual({ ...nothing, bytes: 400, files: 4 });
      expect(await hubs[1].contents.stats()).toMatchObject({ contents: 2, hostFiles: 4 });
    });

    test('is worked on by one hub until its lease has ended', async () => {
      const { uploads } = catalog;
      const { id } = await fixture.completing(digest('a'));
      const now = new Date(1_000);
      const until = new Date(2_000);
      expect(await uploads.claim(id, 'hub-1', { now, until })).toMatchObject({
        leaseHub: 'hub-1',
        leaseUntil: until,
      });
      expect(await uploads.claim(id, 'hub-2', { now, until })).toBeNull();
      expect(await uploads.claim(id, 'hub-1', { now, until: new Date(3_000) })).not.toBeNull();
      expect(await uploads.claim(id, 'hub-2', { now: new Date(3_000), until })).toBeNull();
      const later = new Date(3_001);
      expect(await uploads.claim(id, 'hub-2', { now: later, until: new Date(9_000) })).toMatchObject({
        leaseHub: 'hub-2',
      });
      await uploads.finish({ id, content: content(true), at });
      expect(await uploads.get(id)).toMatchObject({ leaseHub: null, leaseUntil: null });
      expect(await uploads.claim(id, 'hub-2', { now: later, until })).toBeNull();
    });
  });

  describe('the end of a session', () => {
    test('by expiry leaves alone what slid meanwhile, and what takes no bytes', async () => {
      const { uploads, keys } = catalog;
      const now = new Date(20_000);
      await uploads.insert(fixture.upload({ id: 'old', expiresAt: new Date(5) }));
      await uploads.insert(fixture.upload({ id: 'older', expiresAt: new Date(4) }));
      await uploads.insert(fixture.upload({ id: 'live', expiresAt: now }));
      const working = await fixture.completing(digest('a'), { expiresAt: new Date(1) });
      expect((await uploads.expiredBefore(now, 10)).map(({ id }) => id)).toEqual(['older', 'old']);
      expect((await uploads.expiredBefore(now, 1)).map(({ id }) => id)).toEqual(['older']);
      await uploads.slide('old', new Date(30_000));
      expect(await uploads.expire('old', now)).toBeNull();
      expect(await uploads.expire('live', now)).toBeNull();
      expect(await uploads.expire(working.id, now)).toBeNull();
      expect(await uploads.expire('none', now)).toBeNull();
      expect(await uploads.expire('older', now)).toMatchObject({
        status: 'expired',
        finishedAt: now,
        reservedBytes: 0,
      });
      expect(await uploads.expire('older', now)).toBeNull();
      expect(await keys.usage(fixture.keyId)).toMatchObject({ reservedBytes: 300, reservedFiles: 3 });
    });

    test('keeps why it failed', async () => {
      const { uploads } = catalog;
      const { id } = await uploads.insert(fixture.upload());
      const failed = await uploads.transition(id, ['initiated', 'uploading'], 'failed', {
        errorCode: 'checksum_mismatch',
        errorDetail: 'The bytes are others.',
        finishedAt: new Date(9),
      });
      expect(failed).toMatchObject({
        errorCode: 'checksum_mismatch',
        errorDetail: 'The bytes are others.',
        finishedAt: new Date(9),
      });
    });

    test('of two that end it at once one succeeds, and the reservation is given back once', async () => {
      const url = await freshUrl();
      const hubs = [await open(url), await open(url)] as const;
      const shared = await UploadFixture.make(hubs[0]);
      const { id } = await hubs[0].uploads.insert(shared.upload());
      const ends = await Promise.all(
        Array.from({ length: 9 }, (_, index) => {
          const { uploads } = hubs[index % 2 === 0 ? 0 : 1];
          const to = (['aborted', 'failed', 'expired'] as const)[index % 3] ?? 'failed';
          return uploads.transition(id, ['initiated', 'uploading'], to);
        }),
      );
      expect(ends.filter((end) => end !== null)).toHaveLength(1);
      expect(await hubs[0].keys.usage(shared.keyId)).toEqual(nothing);
    });

    test('leaves a tombstone until it is purged, and never a live session', async () => {
      const { uploads } = catalog;
      for (let index = 0; index < 5; index += 1) {
        await uploads.insert(fixture.upload({ id: `u${index}` }));
        await uploads.addPieces([piece(`u${index}`, 0)], new Date(1));
        if (index > 0) {
          await uploads.transition(`u${index}`, ['uploading'], 'aborted', { finishedAt: new Date(index) });
        }
      }
      expect(await uploads.purge(new Date(4), 2)).toBe(2);
      expect(await uploads.purge(new Date(4), 2)).toBe(1);
      expect(await uploads.purge(new Date(4), 2)).toBe(0);
      expect((await uploads.list({ limit: 10 })).rows.map(({ id }) => id).toSorted()).toEqual(['u0', 'u4']);
      expect(await uploads.pieces('u0')).toHaveLength(1);
      expect(await uploads.pieces('u1')).toEqual([]);
      expect(await uploads.countByStatus()).toEqual(
        new Map([
          ['aborted', 1],
          ['uploading', 1],
        ]),
      );
    });
  });

  test('the live sessions of a backend are gone through by id', async () => {
    const { uploads } = catalog;
    for (const id of ['c', 'a', 'e', 'b', 'd']) await uploads.insert(fixture.upload({ id }));
    await uploads.insert(fixture.upload({ id: 'aa', backendId: 'other' }));
    await uploads.transition('b', ['initiated'], 'aborted');
    await uploads.transition('d', ['initiated'], 'completing');
    const first = await uploads.openOn(fixture.backendId, { limit: 2 });
    expect(first.map(({ id }) => id)).toEqual(['a', 'c']);
    const rest = await uploads.openOn(fixture.backendId, { after: 'c', limit: 5 });
    expect(rest.map(({ id }) => id)).toEqual(['d', 'e']);
    expect((await uploads.inStatus('completing')).map(({ id }) => id)).toEqual(['d']);
  });
});
