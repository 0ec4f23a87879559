import { createServer } from 'node:http';
import { once } from 'node:events';
import { lstat, mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { beginUpload, ChunkedFile, completeUpload, sendChunk } from '@holdfast/test-support/chunked-uploads';
import { RandomContent } from '@holdfast/test-support/random-file';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '../client.ts';
import { downloadFile } from './download-file.ts';
import { keepCutting, namesIn, startDownloads } from './download-fixture.ts';
import type { Downloads } from './download-fixture.ts';
import type { DownloadProgress } from './download-progress.ts';

const mebibyte = 1024 * 1024;
let downloads: Downloads;

beforeAll(async () => {
  downloads = await startDownloads();
});

afterAll(() => downloads[Symbol.asyncDispose]());

describe('downloadFile', () => {
  it('fetches files of any size by pieces, verified, and leaves nothing else', async () => {
    await using folder = await makeTempDir('download');
    const pieceBytes = 65_536;
    for (const size of [0, 1, pieceBytes, pieceBytes + 1, 20 * pieceBytes + 7]) {
      const { what, content } = await downloads.put(`sized-${size}`, size);
      const target = folder.join('file');
      const result = await downloadFile(downloads.direct, what, target, { pieceBytes, overwrite: true });
      expect(result).toEqual({ sha256: content.sha256(), bytes: size, verified: true, resumedBytes: 0 });
      expect(sha256Hex(await readFile(target))).toBe(content.sha256());
      expect(await namesIn(folder.path)).toEqual(['file']);
    }
  });

  it('fetches a content by its SHA-256, sets mode and time, and tells its progress', async () => {
    await using folder = await makeTempDir('download');
    const file = new ChunkedFile('content', 3 * mebibyte, mebibyte);
    const id = await beginUpload(downloads.hub, file);
    for (const num of [0, 1, 2]) await sendChunk(downloads.hub, id, file, num);
    await completeUpload(downloads.hub, id);
    const mtime = new Date('2001-02-03T04:05:06Z');
    const target = folder.join('content');
    const seen: DownloadProgress[] = [];
    const result = await downloadFile(downloads.direct, { sha256: file.sha256 }, target, {
      mode: 0o640,
      mtime,
      onProgress: (progress) => seen.push(progress),
    });
    expect(result).toMatchObject({ sha256: file.sha256, verified: true });
    const stats = await stat(target);
    expect([stats.mode & 0o7777, stats.mtime]).toEqual([0o640, mtime]);
    expect(seen[0]).toMatchObject({ phase: 'receiving', bytes: 0, totalBytes: file.bytes.length });
    expect(seen.at(-1)).toMatchObject({ phase: 'finishing', bytes: file.bytes.length, etaSeconds: 0 });
  });

  it('goes on where connections break, and fetches little twice', async () => {
    await using folder = await makeTempDir('download');
    await using relay = await downloads.relayed();
    const size = 40 * mebibyte;
    const { what, content } = await downloads.put('cut', size);
    const done = new AbortController();
    const cutting = keepCutting(relay.proxy, 5 * mebibyte, done.signal);
    const result = await downloadFile(relay.client, what, folder.join('cut'), { pieceBytes: 4 * mebibyte });
    done.abort();
    const cuts = await cutting;
    expect(result).toMatchObject({ sha256: content.sha256(), verified: true });
    expect(cuts).toBeGreaterThan(3);
    // What a reset takes away is what was under way: at most a socket buffer of each of the four connections.
    const again = relay.proxy.bytes.toClient - size;
    expect(again).toBeLessThan(cuts * 4 * mebibyte);
    console.info(`${cuts} cuts, ${again} bytes more than the file`);
  });

  it('goes on after it was cancelled; a file that was replaced meanwhile starts over', async () => {
    await using folder = await makeTempDir('download');
    await using relay = await downloads.relayed();
    const size = 24 * mebibyte;
    const first = await downloads.put('again', size);
    const target = folder.join('again');
    const broken = async (): Promise<void> => {
      const cancel = new AbortController();
      const running = downloadFile(relay.client, first.what, target, {
        signal: cancel.signal,
        pieceBytes: mebibyte,
        overwrite: true,
      });
      void relay.proxy.passed('toClient', relay.proxy.bytes.toClient + size / 2).then(() => cancel.abort());
      await expect(running).rejects.toMatchObject({ code: 'cancelled' });
      expect(await namesIn(folder.path)).toEqual(['.again.holdfast-part', '.again.holdfast-part.json']);
    };
    await broken();
    const before = relay.proxy.bytes.toClient;
    const resumed = await downloadFile(relay.client, first.what, target);
    expect(resumed).toMatchObject({ sha256: first.content.sha256(), bytes: size, verified: true });
    expect(resumed.resumedBytes).toBeGreaterThan(size / 4);
    expect(relay.proxy.bytes.toClient - before).toBeLessThan(size - resumed.resumedBytes + 65_536);
    await rm(target);

    await broken();
    const second = await downloads.put('again', size, 'other bytes');
    const anew = await downloadFile(relay.client, second.what, target);
    expect(anew).toMatchObject({ sha256: second.content.sha256(), resumedBytes: 0, verified: true });
    expect(sha256Hex(await readFile(target))).toBe(second.content.sha256());
    expect(await namesIn(folder.path)).toEqual(['again']);
  });

  it('starts over when the file is replaced while it is fetched', async () => {
    await using folder = await makeTempDir('download');
    await using relay = await downloads.relayed();
    const { what } = await downloads.put('moving', 24 * mebibyte);
    const half = relay.proxy.passed('toClient', 8 * mebibyte).then(() => relay.proxy.stall());
    const running = downloadFile(relay.client, what, folder.join('moving'), { pieceBytes: mebibyte });
    await half;
    const { content } = await downloads.put('moving', 20 * mebibyte, 'new bytes');
    relay.proxy.resume();
    const result = await running;
    expect(result).toEqual({
      sha256: content.sha256(),
      bytes: content.size,
      verified: true,
      resumedBytes: 0,
    });
    expect(sha256Hex(await readFile(folder.join('moving')))).toBe(content.sha256());
  });

  it('gives the name to nothing but the bytes it has verified', async () => {
    await using folder = await makeTempDir('download');
    await using relay = await downloads.relayed();
    const { what } = await downloads.put('swapped', 8 * mebibyte);
    const half = relay.proxy.passed('toClient', 2 * mebibyte).then(() => relay.proxy.stall());
    const begun = Promise.withResolvers<undefined>();
    const running = downloadFile(relay.client, what, folder.join('swapped'), {
      onProgress: () => begun.resolve(undefined),
    });
    await Promise.all([half, begun.promise]);
    await rm(folder.join('.swapped.holdfast-part'));
    await writeFile(folder.join('.swapped.holdfast-part'), 'not these');
    relay.proxy.resume();
    await expect(running).rejects.toMatchObject({ code: 'conflict' });
    expect(await namesIn(folder.path)).not.toContain('swapped');
  });

  it('catches a byte that was changed on the way, and keeps nothing', async () => {
    await using folder = await makeTempDir('download');
    await using relay = await downloads.relayed();
    const { what } = await downloads.put('flipped', 4 * mebibyte);
    const flipped = relay.proxy.flipByte({ direction: 'toClient', afterBytes: 2 * mebibyte });
    const running = downloadFile(relay.client, what, folder.join('flipped'));
    await expect(running).rejects.toMatchObject({ code: 'checksum_mismatch' });
    await flipped;
    expect(await namesIn(folder.path)).toEqual([]);
  });

  it('refuses before it fetches when the hub has other bytes than the caller wants', async () => {
    await using folder = await makeTempDir('download');
    const { what } = await downloads.put('unwanted', 1000);
    const running = downloadFile(downloads.direct, what, folder.join('unwanted'), {
      expectedSha256: sha256Hex('something else'),
    });
    await expect(running).rejects.toMatchObject({ code: 'checksum_mismatch' });
    expect(await namesIn(folder.path)).toEqual([]);
  });

  it('follows no symlink under any of its names', async () => {
    await using folder = await makeTempDir('download');
    const { what, content } = await downloads.put('linked', 300_000);
    const victim = folder.join('victim');
    const target = folder.join('linked');
    await writeFile(victim, 'precious');
    for (const name of ['.linked.holdfast-part', '.linked.holdfast-part.json'])
      await symlink(victim, folder.join(name));
    await symlink(victim, target);
    await expect(downloadFile(downloads.direct, what, target)).rejects.toMatchObject({
      code: 'already_exists',
    });
    await downloadFile(downloads.direct, what, target, { overwrite: true });
    expect(await readFile(victim, 'utf8')).toBe('precious');
    expect((await lstat(target)).isFile()).toBe(true);
    expect(sha256Hex(await readFile(target))).toBe(content.sha256());
    expect(await namesIn(folder.path)).toEqual(['linked', 'victim']);
  });

  it('refuses a folder, a second download to the same name, and what the hub does not have', async () => {
    await using folder = await makeTempDir('download');
    const { what } = await downloads.put('single', 100_000);
    await mkdir(folder.join('folder'));
    const toFolder = downloadFile(downloads.direct, what, folder.join('folder'), { overwrite: true });
    await expect(toFolder).rejects.toMatchObject({ code: 'is_a_directory' });
    const missing = downloadFile(downloads.direct, { sha256: sha256Hex('no such') }, folder.join('missing'));
    await expect(missing).rejects.toMatchObject({ code: 'content_not_found' });
    const both = await Promise.allSettled([
      downloadFile(downloads.direct, what, folder.join('twice')),
      downloadFile(downloads.direct, what, folder.join('twice')),
    ]);
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(both.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'conflict' } });
    expect(await namesIn(folder.path)).toEqual(['folder', 'twice']);
  });

  it('says that nothing was verified when the server knows no checksum, and takes all from one that knows no ranges', async () => {
    await using folder = await makeTempDir('download');
    const content = new RandomContent('plain', 3 * mebibyte);
    const server = createServer((_, response) => {
      response.writeHead(200, {
        'content-length': content.size,
        'last-modified': 'Sat, 03 Feb 2001 04:05:06 GMT',
      });
      content.stream().pipe(response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const client = createClient({ url: `http://127.0.0.1:${port}`, apiKey: 'none' });
    const result = await downloadFile(
      client,
      { backend_id: 'default', path: '/plain' },
      folder.join('plain'),
      { pieceBytes: mebibyte },
    );
    server.closeAllConnections();
    server.close();
    expect(result).toEqual({
      sha256: content.sha256(),
      bytes: content.size,
      verified: false,
      resumedBytes: 0,
    });
  });
});
