import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { startPostgres, type PostgresServer } from '@holdfast/test-support/postgres';
import { startTestHub, statusesOf, type TestHub } from '../testing/test-hub.ts';
import { refusalOf, sampleFile, UploadClient } from '../testing/upload-client.ts';

const CHUNK = 64 * 1024;

describe.each(['sqlite', 'postgres'] as const)('content that is there already, on %s', (dialect) => {
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

  const key = async (fields: Record<string, unknown>): Promise<UploadClient> => {
    const body = { name: crypto.randomUUID(), ...fields };
    const { data } = await hub.call(endpoints.createKey, { body });
    return new UploadClient(hub, data.token);
  };
  const hostsOf = async (sha256: string): Promise<string[]> => {
    const { files } = await hub.call(endpoints.listHostFiles, { query: { sha256 } });
    return files.map(({ hostname }) => hostname);
  };
  const copiesOf = async (sha256: string): Promise<number> => {
    const folder = join(hub.root, '.holdfast/vault', sha256.slice(0, 2));
    return (await readdir(folder)).filter((name) => name === sha256).length;
  };

  it('needs no upload by those who may read it', async () => {
    const file = sampleFile(2 * CHUNK);
    await client.upload(file, CHUNK);
    const copy = { ...file, hostname: 'build-8', filepath: '/elsewhere' };
    const answer = await hub.response(endpoints.initiateUpload, { body: client.body(copy, CHUNK) });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ deduplicated: true, sha256: file.sha256 });
    expect((await hostsOf(file.sha256)).toSorted()).toEqual(['build-7', 'build-8']);
    const { uploads } = await hub.call(endpoints.listUploads, { query: { status: 'initiated' } });
    expect(uploads).toEqual([]);
    await hub.context.operations.flush();
    const { data } = await hub.call(endpoints.listOperations, { query: { operation: 'upload' } });
    expect(data.find((line) => line.file === copy.filepath)).toMatchObject({
      duplicate: true,
      success: true,
    });
  });

  it.each([
    ['a key that only writes', { scopes: ['files:write'] }],
    ['a key of another machine', { scopes: ['files:write', 'files:read'], hostname: 'build-9' }],
  ])('is asked for by %s, verified, and not stored twice', async (_, fields) => {
    const file = sampleFile(2 * CHUNK);
    await client.upload(file, CHUNK);
    const stranger = await key(fields);
    const copy = { ...file, hostname: 'build-9', filepath: '/copy' };
    const check = { body: { sha256: [file.sha256] }, key: stranger.key };
    expect(await hub.call(endpoints.checkContents, check)).toEqual({ known: [] });
    expect(await stranger.upload(copy, CHUNK)).toMatchObject({ deduplicated: true, sha256: file.sha256 });
    expect((await hostsOf(file.sha256)).toSorted()).toEqual(['build-7', 'build-9']);
    expect(await copiesOf(file.sha256)).toBe(1);
    expect(await hub.call(endpoints.checkContents, check)).toEqual({ known: [file.sha256] });
    expect(await stranger.begin({ ...copy, filepath: '/again' }, CHUNK)).toMatchObject({
      deduplicated: true,
    });
  });

  it('is not taken on trust: knowing the SHA-256 alone gains nothing', async () => {
    const secret = sampleFile(CHUNK);
    await client.upload(secret, CHUNK);
    const thief = await key({ scopes: ['files:write', 'files:read'], hostname: 'thief' });
    const guess = { ...sampleFile(CHUNK), sha256: secret.sha256, hostname: 'thief' };
    const { upload_id } = await thief.initiate(guess, CHUNK);
    await thief.send(upload_id, 0, guess.bytes);
    expect(await refusalOf(thief.complete(upload_id))).toMatchObject({ code: 'checksum_mismatch' });
    const read = hub.response(endpoints.downloadContent, {
      params: { sha256: secret.sha256 },
      key: thief.key,
    });
    expect(await refusalOf(read)).toMatchObject({ status: 404, code: 'content_not_found' });
  });

  it('of another size than announced is refused, naming the field', async () => {
    const file = sampleFile(CHUNK);
    await client.upload(file, CHUNK);
    const body = client.body(file, CHUNK, { file_size: CHUNK - 1 });
    expect(await refusalOf(hub.response(endpoints.initiateUpload, { body }))).toEqual({
      status: 422,
      code: 'validation_failed',
      fields: ['file_size'],
    });
  });

  it('is kept once when eight uploads of it end at the same time, with eight host files', async () => {
    const file = sampleFile(2 * CHUNK);
    const names = Array.from({ length: 8 }, (_, index) => `racer-${index}`);
    const ids = await Promise.all(
      names.map(async (hostname) => {
        const { upload_id } = await client.initiate({ ...file, hostname }, 2 * CHUNK);
        await client.send(upload_id, 0, file.bytes);
        return upload_id;
      }),
    );
    const completed = await Promise.all(ids.map((id) => client.completed(id)));
    expect(completed.filter(({ deduplicated }) => !deduplicated)).toHaveLength(1);
    expect(new Set(completed.map(({ file_id }) => file_id)).size).toBe(8);
    expect((await hostsOf(file.sha256)).toSorted()).toEqual(names);
    expect(await copiesOf(file.sha256)).toBe(1);
    expect(await client.content(file.sha256)).toEqual(file.bytes);
    expect(await readdir(join(hub.root, '.holdfast/uploads'))).toEqual([]);
  });

  it('is no new version where the machine sends the same file again', async () => {
    const file = sampleFile(CHUNK);
    const first = await client.upload(file, CHUNK);
    expect(await client.begin(file, CHUNK)).toEqual({
      deduplicated: true,
      file_id: first.file_id,
      sha256: file.sha256,
    });
    const changed = { ...sampleFile(CHUNK), filepath: file.filepath, hostname: file.hostname };
    await client.upload(changed, CHUNK);
    const query = { hostname: file.hostname, path_prefix: file.filepath, versions: 'all' };
    const { files } = await hub.call(endpoints.listHostFiles, { query });
    expect(files.map(({ version, sha256 }) => [version, sha256])).toEqual([
      [2, changed.sha256],
      [1, file.sha256],
    ]);
  });

  it('is asked for again when its backend has lost the bytes', async () => {
    const file = sampleFile(CHUNK);
    await client.upload(file, CHUNK);
    const { backendId } = hub;
    await hub.context.vault.backendOf(backendId).contents.remove(file.sha256);
    expect(await client.upload(file, CHUNK)).toMatchObject({ deduplicated: false });
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });

  it('may only come from the machine of the key', async () => {
    const bound = await key({ scopes: ['files:write'], hostname: 'build-7' });
    await bound.upload(sampleFile(10), CHUNK);
    const body = bound.body(sampleFile(10, { hostname: 'build-8' }), CHUNK);
    const refused = await refusalOf(hub.response(endpoints.initiateUpload, { body, key: bound.key }));
    expect(refused).toEqual({ status: 403, code: 'forbidden', fields: ['hostname'] });
  });
});

describe('the quota of a key', () => {
  let hub: TestHub;
  beforeAll(async () => {
    hub = await startTestHub();
  });
  afterAll(() => hub[Symbol.asyncDispose]());

  const limited = async (quota: Record<string, number>): Promise<UploadClient> => {
    const body = { name: crypto.randomUUID(), scopes: ['files:write'], ...quota };
    const { data } = await hub.call(endpoints.createKey, { body });
    return new UploadClient(hub, data.token);
  };
  const begin = (client: UploadClient, size: number): Promise<Response> =>
    hub.response(endpoints.initiateUpload, { body: client.body(sampleFile(size), 1000), key: client.key });
  const refused = { status: 413, code: 'quota_exceeded', fields: ['file_size'] };

  it('in bytes is reserved when an upload begins, and given back when it ends without a file', async () => {
    const client = await limited({ quota_bytes: 1000 });
    const { upload_id } = await client.initiate(sampleFile(600), 1000);
    expect(await refusalOf(begin(client, 401))).toEqual(refused);
    expect((await begin(client, 400)).status).toBe(201);
    expect(await refusalOf(begin(client, 1))).toEqual(refused);
    await client.abort(upload_id);
    expect(await refusalOf(begin(client, 601))).toEqual(refused);
    await client.upload(sampleFile(600), 1000);
    expect(await refusalOf(begin(client, 1))).toEqual(refused);
  });

  it('in files counts uploads under way', async () => {
    const client = await limited({ quota_files: 2 });
    await client.upload(sampleFile(10), 1000);
    const { upload_id } = await client.initiate(sampleFile(10), 1000);
    expect(await refusalOf(begin(client, 1))).toMatchObject({ status: 413, code: 'quota_exceeded' });
    await client.abort(upload_id);
    await client.upload(sampleFile(10), 1000);
    expect(await refusalOf(begin(client, 1))).toMatchObject({ status: 413, code: 'quota_exceeded' });
  });

  it('holds when twenty uploads begin at the same time', async () => {
    const client = await limited({ quota_bytes: 1000 });
    const answers = await Promise.all(Array.from({ length: 20 }, () => begin(client, 300)));
    expect(statusesOf(answers)).toEqual([201, 201, 201, ...Array<number>(17).fill(413)]);
    const { uploads } = await hub.call(endpoints.listUploads, { key: client.key });
    const staged = await readdir(join(hub.root, '.holdfast/uploads'));
    const open = (await hub.call(endpoints.listUploads, { query: { status: 'initiated' } })).total;
    expect(uploads).toHaveLength(3);
    expect(staged).toHaveLength(open);
  });
});

describe('the space of a backend', () => {
  it('is promised once: an upload beyond what is free is refused before its bytes travel', async () => {
    await using hub = await startTestHub();
    const client = new UploadClient(hub);
    const usage = await hub.context.backends.get(hub.backendId).storage.usage?.();
    if (usage === undefined) throw new Error('the local backend knows its usage');
    const free = usage.totalBytes - usage.usedBytes;
    const begin = (size: number): Promise<Response> => {
      const plan = { file_size: size, chunk_size: size, total_chunks: 1 };
      return hub.response(endpoints.initiateUpload, { body: client.body(sampleFile(1), 1, plan) });
    };
    const full = { status: 507, code: 'storage_full', fields: ['file_size'] };
    const tooMuch = Math.min(2 * free, 5 * 1024 ** 4);
    expect(tooMuch).toBeGreaterThan(free);
    expect(await refusalOf(begin(tooMuch))).toEqual(full);
    expect(await readdir(join(hub.root, '.holdfast/uploads')).catch(() => [])).toEqual([]);
  });
});
