import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { startHub, type HubUnderTest } from '../support/hub.ts';
import { bootBackend, uploadStream } from '../support/hub-storage.ts';
import { openResponse } from '../support/open-response.ts';
import { RandomContent } from '../support/random-file.ts';

/** Larger than all socket buffers between hub and reader, so that a paused reader keeps the transfer running. */
const content = new RandomContent('drain', 64 * 1024 * 1024);

describe('a hub told to stop by SIGTERM', { timeout: 60_000 }, () => {
  it('finishes a running download, refuses new ones, and exits with 0', async () => {
    await using hub = await startHub();
    const response = await startPausedDownload(hub);

    process.kill(hub.pid, 'SIGTERM');
    await expect.poll(() => isRefused(hub), { timeout: 8_000 }).toBe(true);

    let received = 0;
    const check = content.checker();
    const body: AsyncIterable<Buffer> = response;
    for await (const chunk of body) {
      expect(check(chunk)).toBe(true);
      received += chunk.length;
    }
    expect(received).toBe(content.size);
    expect(await hub.exited).toEqual({ code: 0, signal: null });
  });

  it('exits with 0 although a reader has stopped reading for good', async () => {
    await using hub = await startHub();
    const response = await startPausedDownload(hub);
    response.on('error', () => {});
    expect(await hub.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    response.destroy();
  });
});

async function startPausedDownload(hub: HubUnderTest): Promise<IncomingMessage> {
  const { id } = await bootBackend(hub);
  const stored = await uploadStream(hub, id, '/large.bin', content.stream(), content.size);
  expect(stored, stored.body).toMatchObject({ status: 201 });
  const response = await openResponse(`${hub.url}/api/v1/files/large.bin`);
  expect(response.statusCode).toBe(200);
  return response;
}

/** A new request is refused by a closed port or by 503, never by a hanging connection. */
async function isRefused(hub: HubUnderTest): Promise<boolean> {
  const outcome = fetch(`${hub.url}/api/v1/files/large.bin`, {
    method: 'HEAD',
    headers: { connection: 'close' },
    signal: AbortSignal.timeout(5_000),
  });
  return await outcome.then(
    (response) => response.status === 503,
    (error: unknown) => !(error instanceof DOMException && error.name === 'TimeoutError'),
  );
}
