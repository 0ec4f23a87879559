import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keepCutting, startDownloads } from './download-fixture.ts';
import type { Downloads } from './download-fixture.ts';
import { streamDownload } from './download-stream.ts';

const mebibyte = 1024 * 1024;
let downloads: Downloads;

beforeAll(async () => {
  downloads = await startDownloads();
});

afterAll(() => downloads[Symbol.asyncDispose]());

describe('streamDownload', () => {
  it('hands over every byte once and in order, though connections break', async () => {
    await using relay = await downloads.relayed();
    const { what, content } = await downloads.put('streamed', 24 * mebibyte);
    const isRight = content.checker();
    const done = new AbortController();
    const cutting = keepCutting(relay.proxy, 5 * mebibyte, done.signal);
    const result = await streamDownload(relay.client, what, async (chunk) => {
      expect(isRight(Buffer.from(chunk))).toBe(true);
    });
    done.abort();
    expect(await cutting).toBeGreaterThan(2);
    expect(result).toEqual({ sha256: content.sha256(), bytes: content.size, verified: true });
  });

  it('hands over a range, which cannot be verified', async () => {
    const { what, content } = await downloads.put('part', mebibyte);
    for (const range of [{ start: 1000, end: 70_000 }, { start: 1_000_000 }]) {
      const hash = createHash('sha256');
      const result = await streamDownload(downloads.direct, what, async (chunk) => void hash.update(chunk), {
        range,
      });
      const wanted = content.bytes(range.start, range.end);
      expect(hash.digest('hex')).toBe(createHash('sha256').update(wanted).digest('hex'));
      expect(result).toMatchObject({ bytes: wanted.byteLength, verified: false });
    }
    const beyond = streamDownload(downloads.direct, what, async () => {}, { range: { start: 2 * mebibyte } });
    await expect(beyond).rejects.toMatchObject({ code: 'range_not_satisfiable' });
  });

  it('fails at the end when a byte was changed on the way', async () => {
    await using relay = await downloads.relayed();
    const { what } = await downloads.put('streamed-flipped', 4 * mebibyte);
    const flipped = relay.proxy.flipByte({ direction: 'toClient', afterBytes: mebibyte });
    const running = streamDownload(relay.client, what, async () => {});
    await expect(running).rejects.toMatchObject({ code: 'checksum_mismatch' });
    await flipped;
  });

  it('says so when the file changes in the middle, instead of mixing two', async () => {
    await using relay = await downloads.relayed();
    const { what } = await downloads.put('mixed', 24 * mebibyte);
    let bytes = 0;
    const running = streamDownload(relay.client, what, async (chunk) => {
      const before = bytes;
      bytes += chunk.byteLength;
      if (before >= mebibyte || bytes < mebibyte) return;
      await downloads.put('mixed', 24 * mebibyte, 'other bytes');
      relay.proxy.cut();
    });
    await expect(running).rejects.toMatchObject({ code: 'conflict', retryable: true });
  });

  it('passes an error of the sink on, and asks for no more', async () => {
    const { what } = await downloads.put('unread', 8 * mebibyte);
    const full = new Error('The pipe is closed.');
    const running = streamDownload(downloads.direct, what, () => Promise.reject(full));
    await expect(running).rejects.toBe(full);
  });
});
