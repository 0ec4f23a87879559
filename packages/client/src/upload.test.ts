import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHub, type HubUnderTest } from '@holdfast/test-support/hub';
import { startTcpProxy, type TcpProxy } from '@holdfast/test-support/tcp-proxy';
import { createClient, type HubClient } from './client.ts';
import type { JournalEntry, UploadJournal } from './upload-journal.ts';
import { blobSource, type UploadSource } from './upload-source.ts';
import { upload } from './upload.ts';

function memoryJournal(): UploadJournal & { entries: Map<string, JournalEntry> } {
  const entries = new Map<string, JournalEntry>();
  return {
    entries,
    get: async (key) => entries.get(key),
    put: async (key, entry) => void entries.set(key, entry),
    delete: async (key) => void entries.delete(key),
  };
}

describe('an upload without a sum of the whole', () => {
  let hub: HubUnderTest;
  let proxy: TcpProxy;
  let client: HubClient;
  let chunkSize: number;
  beforeAll(async () => {
    hub = await startHub();
    proxy = await startTcpProxy({ port: Number(new URL(hub.url).port) });
    client = createClient({ url: `http://127.0.0.1:${proxy.listenPort}`, apiKey: hub.adminKey });
    chunkSize = (await client.call('getUploadLimits')).preferred_chunk_size;
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await hub[Symbol.asyncDispose]();
  });

  function madeOf(byte: number, size: number): { blob: Blob; sha256: string } {
    const bytes = new Uint8Array(size).fill(byte);
    return { blob: new Blob([bytes]), sha256: createHash('sha256').update(bytes).digest('hex') };
  }

  it('is repaired when a byte is changed on its way', async () => {
    const { blob, sha256 } = madeOf(1, 2 * chunkSize);
    const to = { hostname: 'h', filepath: '/damaged' };
    const flipped = proxy.flipByte({ direction: 'toServer', afterBytes: chunkSize / 2 });
    const waits: string[] = [];
    const outcome = await upload(client, blobSource(blob, 'damaged'), {
      ...{ to, parallel: 1 },
      onWaiting: ({ error }) => waits.push(error.message),
    });
    await flipped;
    expect(outcome.sha256).toBe(sha256);
    expect(waits.length).toBe(1);
  });

  it('goes on with the session that the journal knows, and forgets it at the end', async () => {
    const { blob, sha256 } = madeOf(2, 4 * chunkSize);
    const to = { hostname: 'h', filepath: '/continued' };
    const journal = memoryJournal();
    const cancel = new AbortController();
    const first = upload(client, blobSource(blob, 'continued'), {
      ...{ to, journal, parallel: 1, signal: cancel.signal },
      onProgress: ({ chunks }) => chunks === 2 && cancel.abort(),
    });
    await expect(first).rejects.toMatchObject({ code: 'cancelled' });
    expect(journal.entries.size).toBe(1);
    const counts: number[] = [];
    const outcome = await upload(client, blobSource(blob, 'continued'), {
      ...{ to, journal },
      onProgress: ({ chunks }) => counts.push(chunks),
    });
    expect(counts[0]).toBeGreaterThanOrEqual(2);
    expect(outcome.sha256).toBe(sha256);
    expect(journal.entries.size).toBe(0);
  });

  it('is refused when it goes on with a file that has other bytes by now', async () => {
    const [before, after] = [madeOf(3, 3 * chunkSize).blob, madeOf(4, 3 * chunkSize).blob];
    const to = { hostname: 'h', filepath: '/moving' };
    const journal = memoryJournal();
    const cancel = new AbortController();
    const first = upload(client, blobSource(before, 'moving'), {
      ...{ to, journal, parallel: 1, signal: cancel.signal },
      onProgress: ({ chunks }) => chunks === 1 && cancel.abort(),
    });
    await expect(first).rejects.toMatchObject({ code: 'cancelled' });
    await expect(upload(client, blobSource(after, 'moving'), { to, journal })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('moving'),
    });
    expect((await client.call('listUploads', { query: { status: 'uploading' } })).uploads).toEqual([]);
    expect((await client.call('listHostFiles', { query: { path_prefix: '/moving' } })).files).toEqual([]);
    expect(journal.entries.size).toBe(0);
  });

  it('reads every byte once', async () => {
    const { blob, sha256 } = madeOf(8, 3 * chunkSize + 5);
    const starts: number[] = [];
    const source: UploadSource = {
      ...blobSource(blob, 'once'),
      slice(start, end) {
        starts.push(start);
        return blob.slice(start, end);
      },
    };
    const outcome = await upload(client, source, { to: { hostname: 'h', filepath: '/once' } });
    expect(outcome.sha256).toBe(sha256);
    expect(starts.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3].map((num) => num * chunkSize));
  });

  it('ends at a path of a backend when that is asked for', async () => {
    const { blob, sha256 } = madeOf(6, 2 * chunkSize);
    const id = (await client.call('listBackends')).data[0]?.id ?? '';
    const to = { destination_path: '/sent/at a path.bin', backend_id: id };
    expect(await upload(client, blobSource(blob, 'placed'), { to })).toMatchObject({ sha256, file_id: null });
    const listed = await client.call('listFiles', { params: { id }, query: { path: '/sent' } });
    expect(listed.files.map(({ path, size }) => [path, size])).toEqual([[to.destination_path, blob.size]]);
    const again = upload(client, blobSource(madeOf(7, 5).blob, 'placed'), { to });
    await expect(again).rejects.toMatchObject({ status: 409 });
  });

  it('is refused when the file is shorter than it was', async () => {
    const { blob } = madeOf(5, 10);
    const source: UploadSource = { ...blobSource(blob, 'shorter'), size: 20 };
    const sending = upload(client, source, { to: { hostname: 'h', filepath: '/shorter' } });
    await expect(sending).rejects.toMatchObject({ code: 'conflict' });
  });
});
