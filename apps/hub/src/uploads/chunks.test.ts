import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { reprDigest } from '@holdfast/bytes/digest-fields';
import { endpoints } from '@holdfast/contract/endpoints';
import { startPostgres, type PostgresServer } from '@holdfast/test-support/postgres';
import { sendRaw } from '@holdfast/test-support/raw-http';
import { ADMIN_KEY, startTestHub, targetOf, type TestHub } from '../testing/test-hub.ts';
import { chunkOf, refusalOf, sampleFile, UploadClient } from '../testing/upload-client.ts';

const CHUNK = 64 * 1024;
const noFile = sha256Hex('no file has this');

describe.each(['sqlite', 'postgres'] as const)('an upload in chunks, on %s', (dialect) => {
  let server: PostgresServer | undefined;
  let hub: TestHub;
  let client: UploadClient;
  beforeAll(async () => {
    if (dialect === 'postgres') server = await startPostgres();
    hub = await startTestHub(server === undefined ? {} : { databaseUrl: await server.createDatabase() });
    client = new UploadClient(hub);
  });
  afterAll(async () => {
    await hub[Symbol.asyncDispose]();
    await server?.dispose();
  });

  const stagedNames = (): Promise<string[]> => readdir(join(hub.root, '.holdfast/uploads'));

  it('takes chunks in any order and hands the file out verified', async () => {
    const file = sampleFile(5 * CHUNK + 17);
    const started = await client.initiate(file, CHUNK);
    expect(started).toMatchObject({ total_chunks: 6, chunk_size: CHUNK, deduplicated: false });
    expect(started.chunk_urls).toEqual(
      [0, 1, 2, 3, 4, 5].map((num) => `/api/uploads/${started.upload_id}/chunk/${num}`),
    );
    for (const [index, num] of [4, 0, 5, 2, 1].entries()) {
      expect(await client.send(started.upload_id, num, chunkOf(file, CHUNK, num))).toEqual({
        chunk_num: num,
        etag: sha256Hex(chunkOf(file, CHUNK, num)),
        received_bytes: num === 5 ? 17 : CHUNK,
        uploaded_chunks: index + 1,
        total_chunks: 6,
      });
    }
    expect(await client.status(started.upload_id)).toMatchObject({
      status: 'uploading',
      protocol: 'chunks',
      received_chunks: [
        [0, 2],
        [4, 5],
      ],
      uploaded_chunks: 5,
      received_bytes: 4 * CHUNK + 17,
      file_size: file.bytes.length,
      sha256: file.sha256,
      hostname: file.hostname,
      filepath: file.filepath,
    });
    expect(await refusalOf(client.complete(started.upload_id))).toEqual({
      status: 409,
      code: 'chunks_missing',
      fields: ['parts'],
    });
    await client.send(started.upload_id, 3, chunkOf(file, CHUNK, 3));
    const completed = await client.completed(started.upload_id);
    expect(completed).toMatchObject({
      sha256: file.sha256,
      file_size: file.bytes.length,
      status: 'completed',
      deduplicated: false,
      storage_location: { backend_id: hub.backendId, backend_name: 'default' },
    });
    expect(await client.content(file.sha256)).toEqual(file.bytes);
    expect(await client.status(started.upload_id)).toMatchObject({
      status: 'completed',
      file_id: completed.file_id,
    });
    expect(await stagedNames()).toEqual([]);
  });

  it('answers a repeated complete with the same', async () => {
    const file = sampleFile(CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    await client.send(upload_id, 0, file.bytes);
    const first = await client.completed(upload_id);
    expect(await client.completed(upload_id)).toEqual(first);
    expect(await client.completed(upload_id, { parts: [] })).toEqual(first);
  });

  it.each([0, 1])('works for %i bytes', async (size) => {
    const file = sampleFile(size, { bytes: Buffer.alloc(size, dialect) });
    const { upload_id, total_chunks, chunk_urls } = await client.initiate(file, CHUNK);
    expect([total_chunks, chunk_urls.length]).toEqual([size, size]);
    for (let num = 0; num < total_chunks; num += 1) await client.send(upload_id, num, file.bytes);
    expect(await client.completed(upload_id)).toMatchObject({ file_size: size, sha256: file.sha256 });
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('keeps what the machine says of the file', async () => {
    const file = sampleFile(10);
    await client.upload(file, CHUNK, { mtime: '2025-02-03T04:05:06+01:00', mode: 0o640 });
    const { files } = await hub.call(endpoints.listHostFiles, { query: { sha256: file.sha256 } });
    expect(files).toMatchObject([
      {
        hostname: file.hostname,
        filepath: file.filepath,
        file_size: 10,
        mtime: '2025-02-03T03:05:06.000Z',
        mode: 0o640,
        version: 1,
      },
    ]);
  });

  it('answers a repeated chunk with the same, and other bytes with a conflict that changes nothing', async () => {
    const file = sampleFile(2 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    const first = await client.send(upload_id, 0, chunkOf(file, CHUNK, 0));
    expect(await client.send(upload_id, 0, chunkOf(file, CHUNK, 0))).toEqual(first);
    const conflict = { status: 409, code: 'chunk_conflict', fields: [] };
    const other = Buffer.alloc(CHUNK, 'other');
    expect(await refusalOf(client.put(upload_id, 0, other))).toEqual(conflict);
    const digest = { 'content-digest': reprDigest(sha256Hex(other)) };
    expect(await refusalOf(client.put(upload_id, 0, other, digest))).toEqual(conflict);
    await client.send(upload_id, 1, chunkOf(file, CHUNK, 1));
    await client.completed(upload_id);
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('checks the Content-Digest of a chunk, of a repeated one too', async () => {
    const file = sampleFile(CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    const right = { 'content-digest': reprDigest(file.sha256) };
    const wrong = { 'content-digest': reprDigest(noFile) };
    const damaged = Buffer.from(file.bytes).fill(0, 100, 101);
    const mismatch = { status: 422, code: 'checksum_mismatch', fields: [] };
    expect(await refusalOf(client.put(upload_id, 0, damaged, right))).toEqual(mismatch);
    expect(await refusalOf(client.put(upload_id, 0, file.bytes, wrong))).toEqual(mismatch);
    expect(await client.status(upload_id)).toMatchObject({ uploaded_chunks: 0, received_bytes: 0 });
    expect((await client.put(upload_id, 0, file.bytes, right)).status).toBe(200);
    expect(await refusalOf(client.put(upload_id, 0, damaged, right))).toEqual(mismatch);
    expect((await client.put(upload_id, 0, file.bytes, right)).status).toBe(200);
  });

  it.each([
    ['a digest that cannot be read', { 'content-digest': 'sha-256=:nonsense:' }, 'content-digest'],
    ['too few bytes', { 'content-length': '1' }, 'Content-Length'],
    ['too many bytes', { 'content-length': String(CHUNK + 1) }, 'Content-Length'],
  ])('refuses a chunk with %s before its body is sent', async (_, headers, field) => {
    const file = sampleFile(CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    const answer = await client.ask(upload_id, 0, { 'content-length': String(CHUNK), ...headers });
    if (answer === 'continue') throw new Error('the body was asked for');
    expect(await refusalOf(answer)).toEqual({ status: 400, code: 'invalid_request', fields: [field] });
  });

  it('refuses chunks that the upload does not have', async () => {
    const file = sampleFile(CHUNK + 1);
    const { upload_id } = await client.initiate(file, CHUNK);
    const refusal = { status: 400, code: 'invalid_request', fields: ['chunk_num'] };
    expect(await refusalOf(client.put(upload_id, 2, Buffer.alloc(1)))).toEqual(refusal);
    expect(await refusalOf(client.put(upload_id, 999_999_999, Buffer.alloc(1)))).toEqual(refusal);
    const target = `/api/uploads/${upload_id}/chunk/minus-one`;
    expect((await hub.request(target, { method: 'PUT', body: 'x' })).status).toBe(422);
    const empty = await client.initiate(sampleFile(0), CHUNK, { sha256: null });
    expect(await refusalOf(client.put(empty.upload_id, 0, Buffer.alloc(1)))).toEqual(refusal);
  });

  it.each([
    ['no length', []],
    ['a length only in its end', ['Transfer-Encoding: chunked']],
  ])('wants the exact length of a chunk: %s is 411', async (_, headers) => {
    const { upload_id } = await client.initiate(sampleFile(CHUNK), CHUNK);
    const target = targetOf(endpoints.putChunk, { upload_id, chunk_num: '0' });
    const lines = [
      `PUT ${target} HTTP/1.1`,
      'Host: hub',
      'Connection: close',
      `Authorization: Bearer ${ADMIN_KEY}`,
    ];
    const answer = await sendRaw({ url: hub.url, lines: [...lines, ...headers] });
    expect(answer.status).toBe(411);
    expect(answer.body.toString()).toContain('"length_required"');
  });

  it('fails for good when the whole is not what was announced, and touches nothing else', async () => {
    const good = sampleFile(2 * CHUNK);
    await client.upload(good, CHUNK);
    const bad = {
      ...sampleFile(2 * CHUNK),
      sha256: good.sha256,
      filepath: good.filepath,
      hostname: 'build-8',
    };
    const strange = await hub.issueKey({ scopes: ['files:write'] });
    const stranger = new UploadClient(hub, strange.token);
    const { upload_id } = await stranger.initiate(bad, CHUNK);
    for (const num of [0, 1]) await stranger.send(upload_id, num, chunkOf(bad, CHUNK, num));
    const mismatch = { status: 422, code: 'checksum_mismatch', fields: [] };
    expect(await refusalOf(stranger.complete(upload_id))).toEqual(mismatch);
    expect(await refusalOf(stranger.complete(upload_id))).toEqual(mismatch);
    expect(await stranger.status(upload_id)).toMatchObject({ status: 'failed', file_id: null });
    expect((await stranger.status(upload_id)).error).toContain(good.sha256);
    expect(await refusalOf(stranger.put(upload_id, 0, chunkOf(bad, CHUNK, 0)))).toEqual(mismatch);
    expect(await client.content(good.sha256)).toEqual(good.bytes);
    const { files } = await hub.call(endpoints.listHostFiles, { query: { sha256: good.sha256 } });
    expect(files.map(({ hostname }) => hostname)).toEqual(['build-7']);
    expect(await stagedNames()).not.toContain(upload_id);
  });

  it('takes the SHA-256 with complete when it was not known, or computes it alone', async () => {
    const [told, computed, wrong] = [sampleFile(CHUNK), sampleFile(CHUNK), sampleFile(CHUNK)];
    for (const [file, body, status] of [
      [told, { sha256: told.sha256 }, 200],
      [computed, {}, 200],
      [wrong, { sha256: noFile }, 422],
    ] as const) {
      const { upload_id } = await client.initiate(file, CHUNK, { sha256: null });
      await client.send(upload_id, 0, file.bytes);
      expect((await client.complete(upload_id, body)).status).toBe(status);
    }
    expect(await client.content(told.sha256)).toEqual(told.bytes);
    expect(await client.content(computed.sha256)).toEqual(computed.bytes);
    const announced = sampleFile(CHUNK);
    const { upload_id } = await client.initiate(announced, CHUNK);
    await client.send(upload_id, 0, announced.bytes);
    expect(await refusalOf(client.complete(upload_id, { sha256: noFile }))).toEqual({
      status: 422,
      code: 'validation_failed',
      fields: ['sha256'],
    });
    expect((await client.complete(upload_id, { sha256: announced.sha256 })).status).toBe(200);
  });

  it('compares the parts of complete with what was received', async () => {
    const file = sampleFile(3 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    const parts: { chunk_num: number; etag: string }[] = [];
    for (const num of [0, 1, 2]) {
      const { chunk_num, etag } = await client.send(upload_id, num, chunkOf(file, CHUNK, num));
      parts.push({ chunk_num, etag });
    }
    const other = { chunk_num: 1, etag: noFile };
    expect(await refusalOf(client.complete(upload_id, { parts: [...parts, other] }))).toMatchObject({
      status: 409,
      code: 'chunk_conflict',
      fields: ['parts'],
    });
    expect(await refusalOf(client.complete(upload_id, { parts: parts.slice(1) }))).toMatchObject({
      status: 409,
      code: 'chunks_missing',
    });
    const beyond = { chunk_num: 3, etag: noFile };
    expect(await refusalOf(client.complete(upload_id, { parts: [...parts, beyond] }))).toMatchObject({
      status: 400,
      code: 'invalid_request',
      fields: ['parts'],
    });
    expect((await client.complete(upload_id, { parts: parts.toReversed() })).status).toBe(200);
  });

  it('is given up by DELETE, again and again, and takes nothing any more', async () => {
    const file = sampleFile(2 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    await client.send(upload_id, 0, chunkOf(file, CHUNK, 0));
    expect(await stat(join(hub.root, '.holdfast/uploads', upload_id))).toMatchObject({ size: 2 * CHUNK });
    const aborted = { upload_id, status: 'aborted', chunks_uploaded: 1, chunks_deleted: 1 };
    expect(await (await client.abort(upload_id)).json()).toEqual(aborted);
    expect(await (await client.abort(upload_id)).json()).toEqual(aborted);
    expect(await client.status(upload_id)).toMatchObject({ status: 'aborted' });
    const conflict = { status: 409, code: 'conflict', fields: [] };
    expect(await refusalOf(client.put(upload_id, 1, chunkOf(file, CHUNK, 1)))).toEqual(conflict);
    expect(await refusalOf(client.complete(upload_id))).toEqual(conflict);
    expect(await stagedNames()).not.toContain(upload_id);
    const done = await client.initiate(sampleFile(0), CHUNK, { sha256: null });
    await client.completed(done.upload_id);
    expect(await refusalOf(client.abort(done.upload_id))).toEqual(conflict);
  });

  it('of 100,000 chunks is planned, and one of more is refused', async () => {
    const fields = { file_size: 100_000, chunk_size: 1, total_chunks: 100_000 };
    const { upload_id, chunk_urls } = await client.initiate(sampleFile(1), 1, fields);
    expect(chunk_urls).toHaveLength(1000);
    await client.send(upload_id, 99_999, Buffer.from('x'));
    expect((await client.status(upload_id)).received_chunks).toEqual([[99_999, 99_999]]);
    expect(await refusalOf(client.complete(upload_id))).toMatchObject({ code: 'chunks_missing' });
    const parts = Array.from({ length: 100_000 }, (_, chunk_num) => ({ chunk_num, etag: noFile }));
    expect(await refusalOf(client.complete(upload_id, { parts }))).toMatchObject({ code: 'chunks_missing' });
    const more = { file_size: 100_001, chunk_size: 1, total_chunks: 100_001 };
    const refused = hub.response(endpoints.initiateUpload, { body: client.body(sampleFile(1), 1, more) });
    expect(await refusalOf(refused)).toEqual({
      status: 422,
      code: 'validation_failed',
      fields: ['total_chunks'],
    });
  });

  it.each([
    ['numbers that do not agree', { total_chunks: 3 }, 422, 'total_chunks'],
    ['a chunk of no bytes', { chunk_size: 0 }, 422, 'chunk_size'],
    ['a negative size', { file_size: -1 }, 422, 'file_size'],
    ['a file beyond 5 TiB', { file_size: 5 * 1024 ** 4 + 1 }, 422, 'file_size'],
    ['a path with NUL', { filepath: '/a\0b' }, 422, 'filepath'],
    ['an endless path', { filepath: '/'.repeat(4097) }, 422, 'filepath'],
    ['a hostname with a slash', { hostname: '../../etc' }, 422, 'hostname'],
    ['a hostname with a line break', { hostname: 'a\nb' }, 422, 'hostname'],
    ['no hostname', { hostname: '' }, 422, 'hostname'],
    ['a checksum in capitals', { sha256: 'A'.repeat(64) }, 422, 'sha256'],
    ['a mode beyond 07777', { mode: 0o10000 }, 422, 'mode'],
    ['a field that nobody knows', { backend: 'x' }, 422, 'backend'],
  ])('with %s is refused, naming the field', async (_, fields, status, field) => {
    const body = client.body(sampleFile(CHUNK), CHUNK, fields);
    const refused = await refusalOf(hub.response(endpoints.initiateUpload, { body }));
    expect(refused).toMatchObject({ status, code: 'validation_failed' });
    expect(refused.fields).toContain(field);
  });

  it('with a backend that is not there is refused', async () => {
    const body = client.body(sampleFile(1), 1, { backend_id: 'none' });
    const refused = await refusalOf(hub.response(endpoints.initiateUpload, { body }));
    expect(refused).toMatchObject({ status: 404, code: 'backend_not_found' });
  });

  it.each(['../../etc/passwd', '/..', '//', 'C:\\Windows\\..', '.holdfast/vault', '\u202e/rtl', '%2e%2e%2f'])(
    'keeps the path %j as the name that it is',
    async (filepath) => {
      const file = sampleFile(7, { filepath });
      await client.upload(file, CHUNK);
      const { files } = await hub.call(endpoints.listHostFiles, { query: { sha256: file.sha256 } });
      expect(files.map((found) => found.filepath)).toEqual([filepath]);
      expect(await client.content(file.sha256)).toEqual(file.bytes);
      expect(await readdir(hub.root)).toEqual(['.holdfast']);
    },
  );

  it('is there for its own key and for admin alone', async () => {
    const [own, other] = [
      await hub.issueKey({ scopes: ['files:write'] }),
      await hub.issueKey({ scopes: ['files:write'] }),
    ];
    const [owner, stranger] = [new UploadClient(hub, own.token), new UploadClient(hub, other.token)];
    const file = sampleFile(CHUNK);
    const { upload_id } = await owner.initiate(file, CHUNK);
    const notFound = { status: 404, code: 'upload_not_found', fields: [] };
    expect(await refusalOf(stranger.put(upload_id, 0, file.bytes))).toEqual(notFound);
    expect(await refusalOf(stranger.complete(upload_id))).toEqual(notFound);
    expect(await refusalOf(stranger.abort(upload_id))).toEqual(notFound);
    const asked = hub.response(endpoints.getUpload, { params: { upload_id }, key: other.token });
    expect(await refusalOf(asked)).toEqual(notFound);
    const listed = await hub.call(endpoints.listUploads, { key: other.token });
    expect(listed).toEqual({ uploads: [], total: 0 });
    const ownList = await hub.call(endpoints.listUploads, { key: own.token, query: { status: 'initiated' } });
    expect(ownList.uploads.map((upload) => upload.upload_id)).toEqual([upload_id]);
    expect((await client.status(upload_id)).actor).toBe(own.name);
  });

  it('is listed, newest first, in pages', async () => {
    const key = await hub.issueKey({ scopes: ['files:write'] });
    const uploader = new UploadClient(hub, key.token);
    const ids: string[] = [];
    for (const size of [1, 2, 3]) ids.unshift((await uploader.initiate(sampleFile(size), 1)).upload_id);
    const first = await hub.call(endpoints.listUploads, { key: key.token, query: { limit: 2 } });
    expect(first.total).toBe(3);
    const cursor = first.next_cursor ?? '';
    const second = await hub.call(endpoints.listUploads, { key: key.token, query: { limit: 2, cursor } });
    const listed = [...first.uploads, ...second.uploads].map((upload) => upload.upload_id);
    expect(new Set(listed)).toEqual(new Set(ids));
    expect(second.next_cursor).toBeUndefined();
  });

  it('is planned by what the hub advises', async () => {
    const limits = await hub.call(endpoints.getUploadLimits);
    expect(limits).toMatchObject({
      backend_id: hub.backendId,
      max_chunks: 100_000,
      max_file_size: 5 * 1024 ** 4,
    });
    expect(limits.preferred_chunk_size).toBeGreaterThanOrEqual(limits.min_chunk_size);
    const unknown = hub.response(endpoints.getUploadLimits, { query: { backend_id: 'none' } });
    expect(await refusalOf(unknown)).toMatchObject({ code: 'backend_not_found' });
  });

  it('is told by events and one line of the operation log', async () => {
    const seen: string[] = [];
    const unsubscribe = hub.context.events.subscribe((event) => {
      if ('upload_id' in event) seen.push(event.type);
    });
    const file = sampleFile(3 * CHUNK);
    await client.upload(file, CHUNK);
    unsubscribe();
    expect(seen[0]).toBe('upload.started');
    expect(seen).toContain('upload.progress');
    expect(seen.at(-1)).toBe('upload.completed');
    await hub.context.operations.flush();
    const { data } = await hub.call(endpoints.listOperations, { query: { operation: 'upload' } });
    const lines = data.filter((line) => line.file === file.filepath);
    expect(lines).toMatchObject([
      { success: true, bytes: file.bytes.length, duplicate: false, actor: 'environment' },
    ]);
  });

  it('is counted in the metrics', async () => {
    await client.initiate(sampleFile(1), 1);
    const text = await hub.context.metrics.registry.metrics();
    expect(text).toMatch(/holdfast_upload_sessions\{status="initiated"\} [1-9]/);
    expect(text).toMatch(/holdfast_upload_sessions\{status="completed"\} [1-9]/);
    expect(text).toMatch(/holdfast_uploaded_bytes_total [1-9]/);
    expect(text).toMatch(/holdfast_upload_chunk_seconds_count [1-9]/);
  });
});
