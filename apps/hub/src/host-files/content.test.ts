import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import { RandomContent } from '@holdfast/test-support/random-file';
import { openEvents } from '../testing/event-client.ts';
import { startTestHub, targetOf, type TestHub } from '../testing/test-hub.ts';
import { keepFile } from './testing/kept-files.ts';

let hub: TestHub;
const bytes = new RandomContent('content of a machine', 3_000_000).bytes();
const sha256 = sha256Hex(bytes);
const target = targetOf(endpoints.downloadContent, { sha256 });

beforeAll(async () => {
  hub = await startTestHub();
  await keepFile(hub, { filepath: '/image', bytes });
  await keepFile(hub, { filepath: '/empty', bytes: '' });
});
afterAll(() => hub[Symbol.asyncDispose]());

async function bodyOf(response: Response): Promise<Buffer> {
  return Buffer.from(await response.arrayBuffer());
}

describe('GET /api/files/{sha256}/content', () => {
  it('answers the bytes with their digests, to be kept for ever', async () => {
    const response = await hub.request(target);
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': '3000000',
      etag: `"sha256:${sha256}"`,
      'x-checksum-sha256': sha256,
      'repr-digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`,
      'accept-ranges': 'bytes',
      'cache-control': 'private, max-age=31536000, immutable',
    });
    expect((await bodyOf(response)).equals(bytes)).toBe(true);
  });

  it('answers HEAD with the same headers and no body', async () => {
    const [head, get] = await Promise.all([hub.request(target, { method: 'HEAD' }), hub.request(target)]);
    await get.body?.cancel();
    for (const name of ['content-length', 'etag', 'repr-digest', 'last-modified', 'cache-control']) {
      expect(head.headers.get(name)).toBe(get.headers.get(name));
    }
    expect(await head.text()).toBe('');
  });

  it('answers ranges, conditions and what cannot be satisfied', async () => {
    const part = await hub.request(target, { headers: { range: 'bytes=1000000-1000099' } });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, 'bytes 1000000-1000099/3000000']);
    expect((await bodyOf(part)).equals(bytes.subarray(1_000_000, 1_000_100))).toBe(true);
    const several = await hub.request(target, { headers: { range: 'bytes=0-9,2000000-2000009' } });
    expect(several.headers.get('content-type')).toMatch(/^multipart\/byteranges/);
    await several.body?.cancel();
    const beyond = await hub.request(target, { headers: { range: 'bytes=3000000-' } });
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, 'bytes */3000000']);
    const same = await hub.request(target, { headers: { 'if-none-match': `"sha256:${sha256}"` } });
    expect(same.status).toBe(304);
    const other = await hub.request(target, { headers: { 'if-match': `"sha256:${'0'.repeat(64)}"` } });
    expect(other.status).toBe(412);
  });

  it('answers an empty content', async () => {
    const empty = await hub.request(targetOf(endpoints.downloadContent, { sha256: sha256Hex('') }));
    expect([empty.status, empty.headers.get('content-length'), await empty.text()]).toEqual([200, '0', '']);
  });

  it('shows as a transfer', async () => {
    await using events = await openEvents(hub, { types: 'transfer.finished' });
    const text = 'to be followed';
    const { sha256: followed } = await keepFile(hub, { filepath: '/followed', bytes: text });
    await (await hub.request(targetOf(endpoints.downloadContent, { sha256: followed }))).arrayBuffer();
    const finished = await events.first(
      (event) => event.type === 'transfer.finished' && event.transfer.path === `sha256:${followed}`,
    );
    expect(finished).toMatchObject({
      outcome: 'complete',
      transfer: { backend_id: hub.backendId, size: text.length, bytes: text.length },
    });
  });

  it('does not tell an unknown content from one out of reach, nor anything to nobody', async () => {
    expect((await hub.request(target, { key: null })).status).toBe(401);
    const unknown = await hub.refusal(endpoints.downloadContent, {
      params: { sha256: sha256Hex('unknown') },
    });
    expect(unknown.code).toBe('content_not_found');
    const malformed = await hub.refusal(endpoints.downloadContent, { params: { sha256: 'ABC' } });
    expect(malformed.code).toBe('validation_failed');
  });

  it('says 503 while the backend is away, and when it has lost the bytes', async () => {
    const file = join(hub.root, '.holdfast', 'vault', sha256.slice(0, 2), sha256);
    await rename(file, `${file}.away`);
    const lost = await hub.refusal(endpoints.downloadContent, { params: { sha256 } });
    expect([lost.status, lost.code]).toEqual([503, 'backend_unavailable']);
    await rename(`${file}.away`, file);

    await rename(hub.root, `${hub.root}.unmounted`);
    const away = await hub.refusal(endpoints.downloadContent, { params: { sha256 } });
    expect([away.status, away.code]).toEqual([503, 'backend_unavailable']);
    await rename(`${hub.root}.unmounted`, hub.root);
    expect((await bodyOf(await hub.request(target))).equals(bytes)).toBe(true);
  });
});
