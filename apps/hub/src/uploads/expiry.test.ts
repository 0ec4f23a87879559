import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';
import { chunkOf, refusalOf, sampleFile, UploadClient } from '../testing/upload-client.ts';

const CHUNK = 64 * 1024;
const HOUR = 3600_000;

describe('an upload to which nothing comes', () => {
  let hub: TestHub;
  let client: UploadClient;
  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    hub = await startTestHub();
    client = new UploadClient(hub);
  });
  afterEach(async () => {
    await hub[Symbol.asyncDispose]();
    vi.useRealTimers();
  });

  const passes = (milliseconds: number): void => {
    vi.setSystemTime(Date.now() + milliseconds);
  };
  const staged = (): Promise<string[]> => readdir(join(hub.root, '.holdfast/uploads'));
  const expired = { status: 410, code: 'upload_expired', fields: [] };
  const ask = (upload_id: string): Promise<Response> =>
    hub.response(endpoints.getUpload, { params: { upload_id } });

  it('expires, and its bytes are removed; 410 for a week, then 404', async () => {
    const file = sampleFile(2 * CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    await client.send(upload_id, 0, chunkOf(file, CHUNK, 0));
    passes(HOUR + 1000);
    expect(await refusalOf(ask(upload_id))).toEqual(expired);
    expect(await refusalOf(client.put(upload_id, 1, chunkOf(file, CHUNK, 1)))).toEqual(expired);
    await hub.context.uploads.expire();
    expect(await staged()).toEqual([]);
    expect(await refusalOf(client.complete(upload_id))).toEqual(expired);
    expect(await refusalOf(client.abort(upload_id))).toEqual(expired);
    const { uploads } = await hub.call(endpoints.listUploads);
    expect(uploads).toMatchObject([{ upload_id, status: 'expired' }]);
    passes(6 * 24 * HOUR);
    await hub.context.uploads.expire();
    expect(await refusalOf(ask(upload_id))).toEqual(expired);
    passes(2 * 24 * HOUR);
    await hub.context.uploads.expire();
    expect(await refusalOf(ask(upload_id))).toMatchObject({ status: 404, code: 'upload_not_found' });
  });

  it('lives on with every chunk, a repeated one included', async () => {
    const file = sampleFile(4 * CHUNK);
    const { upload_id, expires_at } = await client.initiate(file, CHUNK);
    for (const num of [0, 1, 2]) {
      passes(0.9 * HOUR);
      await client.send(upload_id, num, chunkOf(file, CHUNK, num));
      await hub.context.uploads.expire();
    }
    passes(0.9 * HOUR);
    await client.send(upload_id, 2, chunkOf(file, CHUNK, 2));
    passes(0.9 * HOUR);
    await client.send(upload_id, 3, chunkOf(file, CHUNK, 3));
    const { expires_at: later } = await client.status(upload_id);
    expect(Date.parse(later) - Date.parse(expires_at)).toBeGreaterThanOrEqual(4.5 * HOUR);
    await client.completed(upload_id);
  });

  it('gives back what it reserved, and is told as failed', async () => {
    const body = { name: crypto.randomUUID(), scopes: ['files:write'], quota_bytes: 100 };
    const { data } = await hub.call(endpoints.createKey, { body });
    const uploader = new UploadClient(hub, data.token);
    const { upload_id } = await uploader.initiate(sampleFile(100), 100);
    const codes: string[] = [];
    hub.context.events.subscribe((event) => {
      if (event.type === 'upload.failed' && event.upload_id === upload_id) codes.push(event.error.code);
    });
    passes(HOUR + 1000);
    await hub.context.uploads.expire();
    expect(codes).toEqual(['upload_expired']);
    await uploader.initiate(sampleFile(100), 100);
  });

  it('expires at the start of a hub as well', async () => {
    const { upload_id } = await client.initiate(sampleFile(CHUNK), CHUNK);
    passes(HOUR + 1000);
    await hub.restart();
    expect(await staged()).toEqual([]);
    expect(await refusalOf(ask(upload_id))).toEqual(expired);
  });

  it('lives as long as the settings say', async () => {
    await hub.call(endpoints.updateSettings, { body: { upload_session_ttl_seconds: 60 } });
    const short = await client.initiate(sampleFile(CHUNK), CHUNK);
    expect(Date.parse(short.expires_at) - Date.now()).toBeLessThanOrEqual(60_000);
    passes(61_000);
    await hub.context.uploads.expire();
    expect(await refusalOf(ask(short.upload_id))).toEqual(expired);
  });

  it('stays while it is completed, and other uploads expire', async () => {
    const file = sampleFile(CHUNK);
    const { upload_id } = await client.initiate(file, CHUNK);
    await client.send(upload_id, 0, file.bytes);
    const patch = { sha256: file.sha256, size: CHUNK };
    await hub.context.catalog.uploads.transition(upload_id, ['uploading'], 'completing', patch);
    passes(24 * HOUR);
    await hub.context.uploads.expire();
    expect(await client.status(upload_id)).toMatchObject({ status: 'completed' });
    expect(await client.content(file.sha256)).toEqual(file.bytes);
  });
});
