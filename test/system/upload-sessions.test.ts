import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { vaultStats } from '@holdfast/contract/host-files';
import { startHub, type HubUnderTest } from '../support/hub.ts';
import { openResponse } from '../support/open-response.ts';
import { peakMemory, resetPeakMemory } from '../support/rss.ts';
import { leftovers } from '../support/upload-leftovers.ts';
import { uploadSessions, type SessionsOutcome } from '../support/upload-sessions.ts';

const SESSIONS = 1000;
const CHUNKS = 4;
const MIB = 1024 ** 2;
/** So that it is over in a minute; `npm run bench -- sessions` takes 2 MiB. */
const CHUNK_BYTES = 256 * 1024;
const READERS = 4;

describe(`${SESSIONS} upload sessions at once, each with ${CHUNKS} chunks in flight`, () => {
  const resources = new AsyncDisposableStack();
  let hub: HubUnderTest;
  let outcome: SessionsOutcome;
  let peak: number;

  beforeAll(async () => {
    hub = resources.use(await startHub({ env: { HOLDFAST_LOG_LEVEL: 'warn' } }));
    await resetPeakMemory(hub.pid);
    outcome = await uploadSessions(hub, { sessions: SESSIONS, chunks: CHUNKS, chunkBytes: CHUNK_BYTES });
    peak = await peakMemory(hub.pid);
  });

  afterAll(() => resources.disposeAsync());

  it('all end completed', () => {
    expect(outcome.failures).toEqual([]);
    expect(outcome.completed).toHaveLength(SESSIONS);
  });

  it('keep the resident memory of the hub under 400 MiB', () => {
    console.info(`peak while receiving ${SESSIONS} sessions: ${Math.round(peak / MIB)} MiB`);
    expect(peak).toBeLessThan(400 * MIB);
  });

  it('leave every file as it was sent', async () => {
    const waiting = outcome.completed.values();
    const read = async (): Promise<void> => {
      for (const { sha256, chunkSha256 } of waiting)
        expect(await chunkDigests(hub, sha256), sha256).toEqual(chunkSha256);
    };
    await Promise.all(Array.from({ length: READERS }, read));
  });

  it('leave one content for each, and nothing staged', { timeout: 120_000 }, async () => {
    expect(await hub.data(vaultStats, '/api/v1/vault')).toMatchObject({
      contents: SESSIONS,
      bytes: SESSIONS * CHUNKS * CHUNK_BYTES,
    });
    expect(await leftovers(hub)).toEqual([]);
  });
});

/** SHA-256 of the chunks of a content as the hub hands it out, in their order. */
async function chunkDigests(hub: HubUnderTest, sha256: string): Promise<string[]> {
  const response = await openResponse(`${hub.url}/api/files/${sha256}/content`, {
    authorization: `Bearer ${hub.adminKey}`,
  });
  expect(response.statusCode).toBe(200);
  const digests: string[] = [];
  let hash = createHash('sha256');
  let room = CHUNK_BYTES;
  const body: AsyncIterable<Buffer> = response;
  for await (const piece of body) {
    let rest = piece;
    while (rest.length > 0) {
      const part = rest.subarray(0, room);
      hash.update(part);
      rest = rest.subarray(part.length);
      room -= part.length;
      if (room > 0) continue;
      digests.push(hash.digest('hex'));
      hash = createHash('sha256');
      room = CHUNK_BYTES;
    }
  }
  if (room < CHUNK_BYTES) digests.push(hash.digest('hex'));
  return digests;
}
