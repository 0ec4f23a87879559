import { createHash, randomBytes } from 'node:crypto';
import type { HubUnderTest } from './hub.ts';
import { HubUploads } from './hub-uploads.ts';

/** Bytes of a chunk, unless told otherwise. */
const CHUNK_BYTES = 2 * 1024 * 1024;
const TAIL_BYTES = 16;

/** A file that was completed. */
export interface SessionFile {
  /** Of the whole, as the hub computed it. */
  sha256: string;
  /** Of its chunks in order, as they were sent. */
  chunkSha256: string[];
}

export interface SessionsOutcome {
  /** Milliseconds from the request to the answer, of each chunk. */
  chunkMs: number[];
  /** Of each session that ended completed. */
  completed: SessionFile[];
  /** Of whatever failed. */
  failures: string[];
}

/**
 * Uploads files of some chunks side by side, all chunks of all of them in flight at the same time, each on a connection
 * of its own. All contents differ; each chunk's answer is compared with its SHA-256.
 */
export async function uploadSessions(
  hub: Pick<HubUnderTest, 'url' | 'adminKey'>,
  { sessions, chunks, chunkBytes = CHUNK_BYTES }: { sessions: number; chunks: number; chunkBytes?: number },
): Promise<SessionsOutcome> {
  using uploads = new HubUploads(hub, sessions * chunks);
  // One buffer for all: the chunks differ in their ends only, so that hashing them costs next to nothing here.
  const shared = randomBytes(chunkBytes - TAIL_BYTES);
  const sharedHash = createHash('sha256').update(shared);
  const outcome: SessionsOutcome = { chunkMs: [], completed: [], failures: [] };

  const ids: string[] = [];
  for (let index = 0; index < sessions; index += 1) {
    const filepath = `/sessions/${index}.bin`;
    const size = chunks * chunkBytes;
    ids.push(await uploads.begin({ filepath, size, chunkSize: chunkBytes }));
  }
  /** @returns its SHA-256 */
  const sendChunk = async (id: string, num: number): Promise<string> => {
    const tail = randomBytes(TAIL_BYTES);
    const began = performance.now();
    const { etag } = await uploads.sendChunk(id, num, [shared, tail]);
    outcome.chunkMs.push(performance.now() - began);
    const expected = sharedHash.copy().update(tail).digest('hex');
    if (etag !== expected) throw new Error(`chunk ${num} of ${id} was answered as ${etag}, not ${expected}`);
    return expected;
  };
  await Promise.all(
    ids.map(async (id) => {
      try {
        const chunkSha256 = await Promise.all(Array.from({ length: chunks }, (_, num) => sendChunk(id, num)));
        const { sha256 } = await uploads.complete(id);
        outcome.completed.push({ sha256, chunkSha256 });
      } catch (error) {
        outcome.failures.push(error instanceof Error ? error.message : String(error));
      }
    }),
  );
  return outcome;
}
