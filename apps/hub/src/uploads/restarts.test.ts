import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { chunkOf, refusalOf, sampleFile, UploadClient, type SampleFile } from '../testing/upload-client.ts';

const CHUNK = 128 * 1024;

describe('a hub that starts again', () => {
  let hub: TestHub;
  let client: UploadClient;
  beforeEach(async () => {
    hub = await startTestHub();
    client = new UploadClient(hub);
  });
  afterEach(() => hub[Symbol.asyncDispose]());

  const staged = (): Promise<string[]> => readdir(join(hub.root, '.holdfast/uploads'));
  /** An upload with all of its chunks. */
  const received = async (file: SampleFile): Promise<string> => {
    const { upload_id, total_chunks } = await client.initiate(file, CHUNK);
    for (let num = 0; num < total_chunks; num += 1)
      await client.send(upload_id, num, chunkOf(file, CHUNK, num));
    return upload_id;
  };

  it('has every chunk that it acknowledged, and takes the others', async () => {
    const file = sampleFile(4 * CHUNK + 5);
    const { upload_id } = await client.initiate(file, CHUNK);
    for (const num of [4, 2]) await client.send(upload_id, num, chunkOf(file, CHUNK, num));
    const held = await client.hold(upload_id, 0, CHUNK);
    await held.write(chunkOf(file, CHUNK, 0).subarray(0, CHUNK / 2));
    await Promise.all([hub.restart(), held.vanish()]);
    expect(await client.status(upload_id)).toMatchObject({
      status: 'uploading',
      received_chunks: [
        [2, 2],
        [4, 4],
      ],
      received_bytes: CHUNK + 5,
    });
    for (const num of [0, 1, 3]) await client.send(upload_id, num, chunkOf(file, CHUNK, num));
    await hub.restart();
    await client.completed(upload_id);
    expect(await client.content(file.sha256)).toEqual(file.bytes);
    await hub.restart();
    expect(await client.completed(upload_id)).toMatchObject({ sha256: file.sha256 });
  });

  it('lets a chunk under way end when it is asked to stop', async () => {
    const file = sampleFile(2 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    const held = await client.hold(upload_id, 0, CHUNK);
    await held.write(chunkOf(file, CHUNK, 0).subarray(0, CHUNK / 2));
    const stopped = hub.drain();
    expect((await held.end(chunkOf(file, CHUNK, 0).subarray(CHUNK / 2))).status).toBe(200);
    await stopped;
    await hub.restart();
    expect(await client.status(upload_id)).toMatchObject({ received_chunks: [[0, 0]] });
  });

  it.each([
    ['before it was published', false],
    ['after it was published', true],
  ])('completes what was being completed, interrupted %s', async (_, published) => {
    const file = sampleFile(3 * CHUNK);
    const id = await received(file);
    const { catalog, vault } = hub.context;
    const size = file.bytes.length;
    const upload = await catalog.uploads.transition(id, ['uploading'], 'completing', {
      sha256: file.sha256,
      size,
    });
    if (published) {
      const { staging } = vault.backendOf(hub.backendId).contents;
      await using live = await staging.resume({
        id,
        state: upload?.stagingState ?? {},
        size,
        chunkSize: CHUNK,
      });
      await live.seal(size, await catalog.uploads.pieces(id));
      await live.publish(file.sha256, size);
    }
    await hub.restart();
    expect(await client.status(id)).toMatchObject({ status: 'completed' });
    expect(await client.content(file.sha256)).toEqual(file.bytes);
    expect(await staged()).toEqual([]);
    expect(hub.logs()).toContain('"completed":1');
    const { files } = await hub.call(endpoints.listHostFiles, { query: { sha256: file.sha256 } });
    expect(files).toHaveLength(1);
  });

  it('goes on with what is being completed when a client asks before', async () => {
    const file = sampleFile(CHUNK);
    const id = await received(file);
    const patch = { sha256: file.sha256, size: CHUNK };
    await hub.context.catalog.uploads.transition(id, ['uploading'], 'completing', patch);
    expect(await refusalOf(client.put(id, 0, file.bytes))).toMatchObject({ code: 'conflict' });
    expect(await refusalOf(client.abort(id))).toMatchObject({ code: 'conflict' });
    expect(await client.completed(id)).toMatchObject({ sha256: file.sha256 });
  });

  it('says so when the bytes of what was being completed are gone', async () => {
    const file = sampleFile(CHUNK);
    const id = await received(file);
    const patch = { sha256: file.sha256, size: CHUNK };
    await hub.context.catalog.uploads.transition(id, ['uploading'], 'completing', patch);
    await rm(join(hub.root, '.holdfast/uploads', id));
    await hub.restart();
    expect(await client.status(id)).toMatchObject({ status: 'failed' });
    expect(await refusalOf(client.complete(id))).toMatchObject({ status: 409, code: 'conflict' });
  });

  it('removes staged bytes that no upload has, and says how many', async () => {
    const file = sampleFile(2 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    const { staging } = hub.context.vault.backendOf(hub.backendId).contents;
    const orphan = crypto.randomUUID();
    await staging.create({ id: orphan, size: 10, chunkSize: 10 });
    expect((await staged()).toSorted()).toEqual([orphan, upload_id].toSorted());
    await hub.restart();
    expect(await staged()).toEqual([upload_id]);
    expect(hub.logs()).toContain('"removed":1');
  });

  it('fails uploads whose staged bytes are gone, and gives their quota back', async () => {
    const body = { name: crypto.randomUUID(), scopes: ['files:write'], quota_bytes: 2 * CHUNK };
    const { data } = await hub.call(endpoints.createKey, { body });
    const uploader = new UploadClient(hub, data.token);
    const { upload_id } = await uploader.initiate(sampleFile(2 * CHUNK), CHUNK);
    await rm(join(hub.root, '.holdfast/uploads', upload_id));
    await hub.restart();
    expect(await client.status(upload_id)).toMatchObject({ status: 'failed' });
    await uploader.initiate(sampleFile(2 * CHUNK), CHUNK);
  });

  it('notices lost bytes while it runs, too', async () => {
    const file = sampleFile(2 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    await rm(join(hub.root, '.holdfast/uploads', upload_id));
    expect(await refusalOf(client.put(upload_id, 0, chunkOf(file, CHUNK, 0)))).toMatchObject({
      code: 'conflict',
    });
    expect(await client.status(upload_id)).toMatchObject({ status: 'failed' });
  });
});
