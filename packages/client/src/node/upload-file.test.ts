import { createHash } from 'node:crypto';
import { appendFile, chmod, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '@holdfast/test-support/free-port';
import { startHub, type HubUnderTest } from '@holdfast/test-support/hub';
import { startTcpProxy, type TcpProxy } from '@holdfast/test-support/tcp-proxy';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { createClient, type HubClient } from '../client.ts';
import type { UploadProgress } from '../upload-progress.ts';
import { uploadFile } from './upload-file.ts';
import { uploadStream } from './upload-stream.ts';

const MiB = 1024 * 1024;

describe('sending a file', () => {
  let hub: HubUnderTest;
  let proxy: TcpProxy;
  let client: HubClient;
  let folder: Awaited<ReturnType<typeof makeTempDir>>;
  let stateDir: string;
  let chunkSize: number;
  beforeAll(async () => {
    const port = await freePort();
    hub = await startHub({ env: { HOLDFAST_PORT: String(port) } });
    proxy = await startTcpProxy({ port });
    client = createClient({ url: `http://127.0.0.1:${proxy.listenPort}`, apiKey: hub.adminKey });
    folder = await makeTempDir('upload-file');
    stateDir = join(folder.path, 'state');
    chunkSize = (await client.call('getUploadLimits')).preferred_chunk_size;
  });
  afterAll(async () => {
    await folder[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await hub[Symbol.asyncDispose]();
  });

  /** A file of bytes that no other file of these tests has. */
  async function makeFile(name: string, size: number) {
    const path = join(folder.path, name);
    const bytes = Buffer.alloc(size);
    for (let at = 0; at + 8 <= size; at += 4096) bytes.writeDoubleLE(Math.random(), at);
    await writeFile(path, bytes);
    return {
      path,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      to: { hostname: 'sender', filepath: path },
    };
  }

  async function contentOf(sha256: string): Promise<string> {
    const answer = await client.raw('downloadContent', { params: { sha256 } });
    const hash = createHash('sha256');
    const body: AsyncIterable<Uint8Array> | null = answer.body;
    for await (const piece of body ?? []) hash.update(piece);
    return hash.digest('hex');
  }

  /** Cuts every connection each time that so many more bytes have been sent, until it is told to stop. */
  function cutEvery(bytes: number): { cuts: () => number; stop: () => void } {
    let cuts = 0;
    let isStopped = false;
    const next = (): void => {
      void proxy.passed('toServer', proxy.bytes.toServer + bytes).then(() => {
        if (isStopped) return;
        cuts += 1;
        proxy.cut();
        next();
      });
    };
    next();
    return {
      cuts: () => cuts,
      stop: () => {
        isStopped = true;
      },
    };
  }

  it('stores it verified, with its mtime and mode, and remembers nothing afterwards', async () => {
    const { path, sha256, to } = await makeFile('plain.bin', 3 * chunkSize + 5);
    await chmod(path, 0o640);
    await utimes(path, 1_700_000_000, 1_700_000_000);
    const seen: UploadProgress[] = [];
    const outcome = await uploadFile(client, path, { to, stateDir, onProgress: (now) => seen.push(now) });
    expect(outcome).toMatchObject({ sha256, deduplicated: false, file_size: 3 * chunkSize + 5 });
    expect(await contentOf(sha256)).toBe(sha256);
    const [row] = (await client.call('listHostFiles', { query: { sha256 } })).files;
    expect(row).toMatchObject({ mode: 0o640, mtime: '2023-11-14T22:13:20.000Z', filepath: path });
    expect(await readdir(join(stateDir, 'uploads'))).toEqual([]);
    expect(seen[0]).toMatchObject({
      phase: 'sending',
      bytes: 0,
      chunks: 0,
      totalChunks: 4,
      etaSeconds: null,
    });
    expect(seen.at(-1)).toMatchObject({
      phase: 'finishing',
      bytes: outcome.file_size,
      chunks: 4,
      etaSeconds: 0,
    });
    const steps = seen.slice(1).map(({ bytes }, index) => bytes - (seen[index]?.bytes ?? 0));
    // It moves within a chunk, and never back.
    expect(Math.min(...steps)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...steps)).toBeLessThanOrEqual(512 * 1024);
  });

  it('sends nothing that the hub has already', async () => {
    const { path, sha256, to } = await makeFile('known.bin', 2 * chunkSize);
    await uploadFile(client, path, { to, stateDir });
    const before = proxy.bytes.toServer;
    const again = { ...to, filepath: '/elsewhere' };
    expect(await uploadFile(client, path, { to: again, stateDir, sha256 })).toMatchObject({
      deduplicated: true,
    });
    expect(proxy.bytes.toServer - before).toBeLessThan(64 * 1024);
  });

  it('takes a file of no bytes', async () => {
    const { path, sha256, to } = await makeFile('empty', 0);
    expect(await uploadFile(client, path, { to, stateDir })).toMatchObject({ sha256, file_size: 0 });
  });

  it('ends verified through a network that cuts every connection, no more than a chunk too often', async () => {
    const size = 8 * chunkSize + 77;
    const { path, sha256, to } = await makeFile('cut.bin', size);
    const before = proxy.bytes.toServer;
    const cutting = cutEvery(2 * chunkSize);
    const waits: string[] = [];
    const outcome = await uploadFile(client, path, {
      ...{ to, stateDir, parallel: 1 },
      onWaiting: ({ error }) => waits.push(error.message),
    });
    cutting.stop();
    expect(outcome.sha256).toBe(sha256);
    expect(await contentOf(sha256)).toBe(sha256);
    expect(cutting.cuts()).toBeGreaterThan(2);
    expect(waits[0]).toMatch(/cannot be reached/);
    const surplus = proxy.bytes.toServer - before - size;
    expect(surplus).toBeLessThan(cutting.cuts() * chunkSize + MiB);
  });

  it('goes on after the hub was killed and started again', async () => {
    const size = 6 * chunkSize;
    const { path, sha256, to } = await makeFile('killed.bin', size);
    const before = proxy.bytes.toServer;
    let restarted: Promise<void> | undefined;
    const outcome = await uploadFile(client, path, {
      ...{ to, stateDir },
      onProgress({ chunks }) {
        if (chunks === 2) restarted ??= hub.kill('SIGKILL').then(() => hub.restart());
      },
    });
    await restarted;
    expect(outcome.sha256).toBe(sha256);
    expect(await contentOf(sha256)).toBe(sha256);
    expect(proxy.bytes.toServer - before - size).toBeLessThan(5 * chunkSize);
  });

  it('goes on with what an earlier run has sent', async () => {
    const size = 6 * chunkSize;
    const { path, sha256, to } = await makeFile('interrupted.bin', size);
    const cancel = new AbortController();
    const first = uploadFile(client, path, {
      ...{ to, stateDir, parallel: 1, signal: cancel.signal },
      onProgress: ({ chunks }) => chunks === 3 && cancel.abort(),
    });
    await expect(first).rejects.toMatchObject({ code: 'cancelled' });
    const [record = ''] = await readdir(join(stateDir, 'uploads'));
    expect((await stat(join(stateDir, 'uploads', record))).mode & 0o777).toBe(0o600);
    const begin: UploadProgress[] = [];
    const outcome = await uploadFile(client, path, { to, stateDir, onProgress: (now) => begin.push(now) });
    expect(begin[0]?.chunks).toBeGreaterThanOrEqual(3);
    expect(outcome.sha256).toBe(sha256);
    expect(await contentOf(sha256)).toBe(sha256);
  });

  it('begins anew when the earlier session is gone', async () => {
    const { path, sha256, to } = await makeFile('gone.bin', 4 * chunkSize);
    const cancel = new AbortController();
    const first = uploadFile(client, path, {
      ...{ to, stateDir, signal: cancel.signal },
      onProgress: ({ chunks }) => chunks === 1 && cancel.abort(),
    });
    await expect(first).rejects.toMatchObject({ code: 'cancelled' });
    for await (const session of client.all('listUploads', { query: { status: 'uploading' } }))
      await client.call('abortUpload', { params: { upload_id: session.upload_id } });
    expect(await uploadFile(client, path, { to, stateDir })).toMatchObject({ sha256 });
  });

  it('refuses a file that changes while it is sent, and leaves no session behind', async () => {
    const { path, to } = await makeFile('growing.log', 3 * chunkSize);
    let grown: Promise<void> | undefined;
    const sending = uploadFile(client, path, {
      ...{ to, stateDir, parallel: 1 },
      onProgress({ chunks }) {
        if (chunks === 1) grown ??= appendFile(path, 'one more line\n');
      },
    });
    await expect(sending).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/growing\.log was changed .* while it was sent/),
    });
    await grown;
    const open = await client.call('listUploads', { query: { status: 'uploading' } });
    expect(open.uploads.map(({ filepath }) => filepath)).not.toContain(path);
    expect(await readdir(join(stateDir, 'uploads'))).toEqual([]);
  });

  it('gives up when the hub stays away, and says where it was looked for', async () => {
    const { path, to } = await makeFile('lonely.bin', 10);
    proxy.refuse(true);
    proxy.cut();
    const sending = uploadFile(client, path, { to, stateDir, patienceMs: 300 });
    await expect(sending).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining(client.url),
    });
    proxy.refuse(false);
  });

  it('says which file is not there, or is a folder', async () => {
    const to = { hostname: 'sender', filepath: '/x' };
    const missing = join(folder.path, 'missing');
    await expect(uploadFile(client, missing, { to, stateDir })).rejects.toMatchObject({
      code: 'file_not_found',
    });
    await expect(uploadFile(client, folder.path, { to, stateDir })).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });

  it('takes a stream of unknown length and keeps no copy', async () => {
    const pieces = Array.from({ length: 40 }, (_, index) => Buffer.alloc(300_000, index + 1));
    const sha256 = createHash('sha256').update(Buffer.concat(pieces)).digest('hex');
    async function* stream() {
      yield* pieces;
    }
    const to = { hostname: 'sender', filepath: '/from/stdin' };
    const outcome = await uploadStream(client, stream(), { to, stateDir });
    expect(outcome).toMatchObject({ sha256, file_size: 12_000_000 });
    expect((await readdir(stateDir)).filter((name) => name.startsWith('spool'))).toEqual([]);
    const wrong = uploadStream(client, stream(), { to, stateDir, sha256: 'a'.repeat(64) });
    await expect(wrong).rejects.toMatchObject({ code: 'checksum_mismatch' });
  });
});
