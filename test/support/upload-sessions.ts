import { createHash, randomBytes } from 'node:crypto';
import type { HubUnderTest } from './hub.ts';
import { HubUploads } from './hub-uploads.ts';

/** Bytes of a chunk. */
const CHUNK_BYTES = 2 * 1024 * 1024;
const TAIL_BYTES = 16;

export interface SessionsOutcome {
  /** Milliseconds from the request to the answer, of each chunk. */
  chunkMs: number[];
  /** Sessions that ended completed. */
  completed: number;
  /** Of whatever failed. */
  failures: string[];
}

/**
 * Uploads files of some 2 MiB chunks side by side, all chunks of all of them in flight at the same time, each on a connection
 * of its own. All contents differ; each chunk's answer is compared with its SHA-256.
 */
export async function uploadSessions(
  hub: Pick<HubUnderTest, 'url' | 'adminKey'>,
  { sessions, chunks }: { sessions: number; chunks: number },
): Promise<SessionsOutcome> {
  using uploads = new HubUploads(hub, sessions * chunks);
  // One buffer for all: the chunks differ in their ends only, so that hashing them costs next to nothing here.
  const shared = randomBytes(CHUNK_BYTES - TAIL_BYTES);
  const sharedHash = createHash('sha256').update(shared);
  const outcome: SessionsOutcome = { chunkMs: [], completed: 0, failures: [] };

  const ids: string[] = [];
  for (let index = 0; index < sessions; index += 1) {
    const filepath = `/sessions/${index}.bin`;
    ids.push(await uploads.begin({ filepath, size: chunks * CHUNK_BYTES, chunkSize: CHUNK_BYTES }));
  }
  const sendChunk = async (id: string, num: number): Promise<void> => {
    const tail = randomBytes(TAIL_BYTES);
    const began = performance.now();
    const { etag } = await uploads.sendChunk(id, num, [shared, tail]);
    outcome.chunkMs.push(performance.now() - began);
    const expected = sharedHash.copy().update(tail).digest('hex');
    if (etag !== expected) throw new Error(`chunk ${num} of ${id} was answered as ${etag}, not ${expected}`);
  };
  await Promise.all(
    ids.map(async (id) => {
      try {
        await Promise.all(Array.from({ length: chunks }, (_, num) => sendChunk(id, num)));
        await uploads.complete(id);
        outcome.completed += 1;
      } catch (error) {
        outcome.failures.push(error instanceof Error ? error.message : String(error));
      }
    }),
  );
  return outcome;
}
