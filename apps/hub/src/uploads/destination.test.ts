import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { EMPTY_SHA256 } from '@holdfast/bytes/sha256';
import type { Upload } from '@holdfast/catalog/uploads';
import { endpoints } from '@holdfast/contract/endpoints';
import type { Event } from '@holdfast/contract/events';
import { startWebdavNginx } from '@holdfast/test-support/webdav-nginx';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { chunkOf, refusalOf, sampleFile, UploadClient, type SampleFile } from '../testing/upload-client.ts';

const CHUNK = 64 * 1024;

let hub: TestHub;
let client: UploadClient;
beforeAll(async () => {
  hub = await startTestHub();
  client = new UploadClient(hub);
});
afterAll(() => hub[Symbol.asyncDispose]());

interface Target {
  path: string;
  overwrite?: boolean;
  backendId?: string;
}

/** What `initiate` takes for a file that goes to a path. */
function bodyOf(
  file: SampleFile,
  { path, overwrite, backendId = hub.backendId }: Target,
): Record<string, unknown> {
  const { hostname: _machine, filepath: _path, ...bytes } = client.body(file, CHUNK);
  const mode = overwrite === undefined ? {} : { overwrite };
  return { ...bytes, backend_id: backendId, destination_path: path, ...mode };
}

function initiate(file: SampleFile, target: Target, key?: string): Promise<Response> {
  const sender = key === undefined ? {} : { key };
  return hub.response(endpoints.initiateUpload, { body: bodyOf(file, target), ...sender });
}

/** An upload with all its chunks. */
async function received(file: SampleFile, target: Target): Promise<string> {
  const begun = await hub.call(endpoints.initiateUpload, { body: bodyOf(file, target) });
  if (begun.deduplicated) throw new Error('Bytes for a path are never deduplicated.');
  for (let num = 0; num < begun.total_chunks; num += 1)
    await client.send(begun.upload_id, num, chunkOf(file, CHUNK, num));
  return begun.upload_id;
}

async function sealed(id: string, file: SampleFile): Promise<Upload> {
  const { catalog, vault } = hub.context;
  const size = file.bytes.length;
  const patch = { sha256: file.sha256, size };
  const upload = await catalog.uploads.transition(id, ['uploading'], 'completing', patch);
  if (upload === null) throw new Error(`The upload ${id} is not open.`);
  const { staging } = vault.backendOf(upload.backendId).contents;
  await using live = await staging.resume({ id, state: upload.stagingState ?? {}, size, chunkSize: CHUNK });
  await live.seal(size, await catalog.uploads.pieces(id));
  return upload;
}

async function bytesAt(path: string, backendId = hub.backendId): Promise<Buffer> {
  const answer = await hub.response(endpoints.downloadFile, { params: { id: backendId }, query: { path } });
  return Buffer.from(await answer.arrayBuffer());
}

const staged = (): Promise<string[]> => readdir(join(hub.root, '.holdfast/uploads'));

describe('an upload to a path of a backend', () => {
  it('stands there as one file with its checksum, and nowhere else', async () => {
    const file = sampleFile(3 * CHUNK + 5);
    const events: Event[] = [];
    const unsubscribe = hub.context.events.subscribe((event) => void events.push(event));
    const id = await received(file, { path: '/images/new/disk.img' });
    expect(await client.status(id)).toMatchObject({
      hostname: null,
      filepath: null,
      destination_path: '/images/new/disk.img',
    });
    const answer = {
      file_id: null,
      path: '/images/new/disk.img',
      sha256: file.sha256,
      file_size: file.bytes.length,
      status: 'completed',
      deduplicated: false,
      storage_location: { backend_id: hub.backendId, backend_name: 'default' },
    };
    expect(await client.ended(id)).toEqual(answer);
    unsubscribe();
    expect(await client.ended(id)).toEqual(answer);
    expect(await readFile(join(hub.root, 'images/new/disk.img'))).toEqual(file.bytes);
    expect(await hub.context.library.describe(hub.backendId, parseBackendPath(answer.path))).toMatchObject({
      checksum: { sha256: file.sha256 },
    });
    const ours = events.filter(({ type }) => type === 'file.changed' || type === 'upload.completed');
    expect(ours).toMatchObject([
      { type: 'file.changed', path: answer.path, checksum_sha256: file.sha256 },
      { type: 'upload.completed', file_id: null, hostname: null, destination_path: answer.path },
    ]);
    expect(await staged()).toEqual([]);
    expect(await hub.context.catalog.contents.get(file.sha256)).toBeNull();
    const { total } = await hub.call(endpoints.listHostFiles, { query: { sha256: file.sha256 } });
    expect(total).toBe(0);
  });

  it('of no bytes stands there as well', async () => {
    const file = sampleFile(0);
    const id = await received(file, { path: '/empty' });
    expect(await client.ended(id)).toMatchObject({ path: '/empty', sha256: EMPTY_SHA256 });
    expect(await bytesAt('/empty')).toEqual(Buffer.alloc(0));
  });

  it('asks for bytes that the vault has already', async () => {
    const file = sampleFile(CHUNK);
    await client.upload(file, CHUNK);
    const id = await received(file, { path: '/again' });
    expect(await client.ended(id)).toMatchObject({ path: '/again', deduplicated: false });
    expect(await bytesAt('/again')).toEqual(file.bytes);
  });

  it('replaces a file only when it is asked to', async () => {
    await hub.upload('/taken', 'as it was');
    const file = sampleFile(CHUNK + 1);
    expect(await refusalOf(initiate(file, { path: '/taken' }))).toMatchObject({
      status: 409,
      code: 'already_exists',
    });
    expect((await bytesAt('/taken')).toString()).toBe('as it was');
    await client.ended(await received(file, { path: '/taken', overwrite: true }));
    expect(await bytesAt('/taken')).toEqual(file.bytes);
  });

  it('fails when something has come to stand there meanwhile, and leaves that as it is', async () => {
    const file = sampleFile(CHUNK);
    const id = await received(file, { path: '/late' });
    await hub.upload('/late', 'was faster');
    expect(await refusalOf(client.complete(id))).toMatchObject({ status: 409, code: 'already_exists' });
    expect(await refusalOf(client.complete(id))).toMatchObject({ status: 409, code: 'already_exists' });
    expect(await client.status(id)).toMatchObject({ status: 'failed' });
    expect((await bytesAt('/late')).toString()).toBe('was faster');
    expect(await staged()).toEqual([]);
  });

  it('fails when its bytes are not those that were announced, and leaves the file as it is', async () => {
    await hub.upload('/precious', 'as it was');
    const file = { ...sampleFile(CHUNK), sha256: EMPTY_SHA256 };
    const id = await received(file, { path: '/precious', overwrite: true });
    expect(await refusalOf(client.complete(id))).toMatchObject({ code: 'checksum_mismatch' });
    expect((await bytesAt('/precious')).toString()).toBe('as it was');
  });

  it('is refused where no file can stand', async () => {
    await hub.upload('/file', 'x');
    const codeFor = async (path: string): Promise<string> =>
      (await refusalOf(initiate(sampleFile(10), { path, overwrite: true }))).code;
    expect(await codeFor('/')).toBe('is_a_directory');
    expect(await codeFor('/images')).toBe('is_a_directory');
    expect(await codeFor('/file/below')).toBe('not_a_directory');
    expect(await codeFor('/.holdfast/vault/x')).toBe('invalid_path');
    expect(await codeFor('/a/../b')).toBe('invalid_path');
  });

  it('is for keys that reach the path', async () => {
    const limits = { scopes: ['files:write'], backend_id: hub.backendId, path_prefix: '/images' };
    const { token } = await hub.issueKey(limits);
    const file = sampleFile(10);
    expect(await refusalOf(initiate(file, { path: '/etc/x' }, token))).toMatchObject({ code: 'forbidden' });
    expect((await initiate(file, { path: '/images/x' }, token)).status).toBe(201);
    const reader = await hub.issueKey({ scopes: ['files:read'] });
    expect(await refusalOf(initiate(file, { path: '/images/y' }, reader.token))).toMatchObject({
      code: 'forbidden',
    });
  });
});

describe('a hub that starts again with an upload to a path', () => {
  it.each([
    ['before the file had its name', false, false],
    ['after it had its name', true, false],
    ['after it had taken the place of another file', true, true],
  ])('completes it, interrupted %s', async (_, isPlaced, overwrite) => {
    const path = `/carried-on-${isPlaced}-${overwrite}`;
    if (overwrite) await hub.upload(path, 'older');
    const file = sampleFile(2 * CHUNK);
    const id = await received(file, { path, overwrite });
    const upload = await sealed(id, file);
    if (isPlaced) {
      const { contents } = hub.context.vault.backendOf(hub.backendId);
      const key = { id, state: upload.stagingState ?? {}, size: upload.size, chunkSize: CHUNK };
      await using live = await contents.staging.resume(key);
      const { sha256 } = file;
      const placed = await live.place?.(parseBackendPath(path), { sha256, size: 2 * CHUNK, overwrite });
      expect(placed).toMatchObject({ replaced: overwrite });
    }
    await hub.restart();
    expect(await client.status(id)).toMatchObject({ status: 'completed' });
    expect(await client.ended(id)).toMatchObject({ path, sha256: file.sha256 });
    expect(await bytesAt(path)).toEqual(file.bytes);
    expect(await staged()).not.toContain(id);
  });

  it('says so when its bytes are gone and the path has others', async () => {
    await hub.upload('/others', 'older');
    const file = sampleFile(CHUNK);
    const id = await received(file, { path: '/others', overwrite: true });
    await sealed(id, file);
    await rm(join(hub.root, '.holdfast/uploads', id));
    await hub.restart();
    expect(await refusalOf(client.complete(id))).toMatchObject({ status: 409, code: 'conflict' });
    expect((await bytesAt('/others')).toString()).toBe('older');
  });
});

describe('an upload to a path of a backend that cannot rename what is staged', () => {
  it('is written there as one file, and once', async () => {
    await using server = await startWebdavNginx();
    const { row } = await hub.context.backends.create({
      name: 'webdav',
      type: 'http',
      config: {
        base_url: `http://127.0.0.1:${server.ports.dav}/`,
        auth_method: 'none',
        listing: 'webdav',
        writable: true,
      },
    });
    const file = sampleFile(2 * CHUNK + 3);
    const id = await received(file, { path: '/far/disk.img', backendId: row.id });
    expect(await client.ended(id)).toMatchObject({ path: '/far/disk.img', sha256: file.sha256 });
    expect(await readFile(join(server.root, 'far/disk.img'))).toEqual(file.bytes);
    const next = sampleFile(CHUNK);
    const target = { path: '/far/disk.img', backendId: row.id };
    expect(await refusalOf(initiate(next, target))).toMatchObject({ code: 'already_exists' });

    // Written, but not noted yet when the hub was killed: the file is in its own way.
    const late = await received(next, { path: '/far/late.img', backendId: row.id });
    const upload = await sealed(late, next);
    const { storage } = hub.context.backends.get(row.id);
    await storage.write(parseBackendPath('/far/late.img'), once(next.bytes));
    expect(await client.ended(upload.id)).toMatchObject({ path: '/far/late.img', sha256: next.sha256 });
  });
});

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
