import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { startCommitRelay } from '../support/commit-relay.ts';
import { startHub, type HubUnderTest } from '../support/hub.ts';
import {
  askToUpload,
  beginUpload,
  carryOn,
  ChunkedFile,
  completeUpload,
  filesWith,
  includes,
  sendChunk,
  servedContent,
  uploadState,
} from '../support/chunked-uploads.ts';
import { startPostgres } from '../support/postgres.ts';
import { leftovers } from '../support/upload-leftovers.ts';
import { startProcess } from '../support/process.ts';

const CHUNK = 20_000;
/** More crash points than an upload of two chunks can have: a sweep that gets there does not end. */
const MOST_POINTS = 60;

/** What a client was told of its upload before the hub died. */
interface Told {
  id: string | null;
  acknowledged: number[];
  completed: boolean;
  /** Whether the hub outlived it. */
  alive: boolean;
}

/** A thread of the hub: SQLite writes in the main one, files are written by the only one of the pool. */
type Thread = 'main' | 'pool';

/** A crash in the middle of everything: system calls of a thread, and how many of them are passed over from one point to the next. */
const sweeps: [thread: Thread, calls: string, step: number][] = [
  ['pool', 'ftruncate', 1],
  ['pool', 'pwrite64', 1],
  ['pool', 'fdatasync', 1],
  ['pool', 'fsync', 1],
  ['pool', 'mkdir', 1],
  ['pool', 'link', 1],
  ['pool', 'unlink', 1],
  ['main', 'fsync', 1],
  // Pages of the write-ahead log: until the sync they are all alike.
  ['main', 'pwrite64', 13],
];

describe.concurrent('a hub killed during an upload', () => {
  it.for(['pool', 'main'] as const)(
    'keeps what it acknowledged, and nothing else, after dying at each step of its %s thread (SQLite)',
    { timeout: 290_000 },
    async (which) => {
      await using hub = await startHub({ env: { UV_THREADPOOL_SIZE: '1' } });
      const points: string[] = [];
      for (const [thread, calls, step] of sweeps.filter(([name]) => name === which)) {
        let deaths = 0;
        for (let alive = false; !alive && deaths < MOST_POINTS;) {
          const when = 1 + deaths * step;
          const file = new ChunkedFile(`${thread}-${calls}-${when}`, 2 * CHUNK, CHUNK);
          const told = await uploadTraced(hub, file, { thread, calls, when });
          if (!told.alive) await hub.restart();
          await expectSurvived(hub, file, told, `${calls} number ${when} of the ${thread} thread`);
          ({ alive } = told);
          if (!alive) deaths += 1;
        }
        points.push(`${calls}: ${deaths}`);
        expect(deaths, calls).toBeGreaterThan(0);
        expect(deaths, calls).toBeLessThan(MOST_POINTS);
      }
      console.info(`crash points of the ${which} thread: ${points.join(', ')}`);
    },
  );

  it.for(['before', 'after'] as const)(
    'keeps what it acknowledged, and nothing else, after dying just %s each commit (PostgreSQL)',
    { timeout: 290_000 },
    async (moment) => {
      await using server = await startPostgres();
      await using relay = await startCommitRelay(await server.createDatabase());
      await using hub = await startHub({ env: { HOLDFAST_DATABASE_URL: relay.url } });
      let deaths = 0;
      for (let alive = false; !alive && deaths < MOST_POINTS;) {
        const file = new ChunkedFile(`${moment}-${deaths}`, 2 * CHUNK, CHUNK);
        const { pid } = hub;
        relay.strikeAt(deaths + 1, moment, () => process.kill(pid, 'SIGKILL'));
        const told = await uploadTold(hub, file);
        relay.spare();
        if (!told.alive) await hub.restart();
        await expectSurvived(hub, file, told, `${moment} commit ${deaths + 1}`);
        ({ alive } = told);
        if (!alive) deaths += 1;
      }
      console.info(`commits of an upload, died ${moment} each: ${deaths}`);
      expect(deaths).toBeGreaterThan(4);
      expect(deaths).toBeLessThan(MOST_POINTS);
    },
  );
});

/** Uploads under a tracer that lets the kernel kill the hub when the thread enters the n-th of these system calls. */
async function uploadTraced(
  hub: HubUnderTest,
  file: ChunkedFile,
  point: { thread: Thread; calls: string; when: number },
): Promise<Told> {
  const { calls, when } = point;
  const inject = `inject=${calls}:signal=SIGKILL:when=${when}`;
  const thread = point.thread === 'main' ? hub.pid : await poolThread(hub.pid);
  const args = ['-o', '/dev/null', '-e', `trace=${calls}`, '-e', inject, '-p', String(thread)];
  await using tracer = await startProcess('strace', args);
  await tracer.waitForOutput(/attached/, { timeoutMs: 20_000, stream: 'stderr' });
  return await uploadTold(hub, file);
}

async function poolThread(pid: number): Promise<number> {
  const found: number[] = [];
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const name = await readFile(`/proc/${pid}/task/${thread}/comm`, 'utf8');
    if (name.trim() === 'libuv-worker') found.push(Number(thread));
  }
  const [only, ...others] = found;
  if (only === undefined || others.length > 0)
    throw new Error(`The hub has ${found.length} threads in its pool.`);
  return only;
}

/** Uploads a file, the last chunk first, until it is completed or the hub has died. */
async function uploadTold(hub: HubUnderTest, file: ChunkedFile): Promise<Told> {
  const told: Told = { id: null, acknowledged: [], completed: false, alive: false };
  try {
    told.id = await beginUpload(hub, file);
    for (let num = file.chunks - 1; num >= 0; num -= 1) {
      await sendChunk(hub, told.id, file, num);
      told.acknowledged.push(num);
    }
    await completeUpload(hub, told.id);
    told.completed = true;
    // The last writes of an upload may come after its answer.
    await (await askToUpload(hub, file)).arrayBuffer();
    told.alive = true;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    expect(await hub.exited).toEqual({ code: null, signal: 'SIGKILL' });
  }
  return told;
}

/** What was acknowledged is there, the upload can go on and ends verified, and nothing else is left on the disk. */
async function expectSurvived(hub: HubUnderTest, file: ChunkedFile, told: Told, at: string): Promise<void> {
  expect(await leftovers(hub), at).toEqual([]);
  if (told.id !== null) {
    const { status, received_chunks } = await uploadState(hub, told.id);
    if (told.completed) expect(status, at).toBe('completed');
    expect(['initiated', 'uploading', 'completed'], at).toContain(status);
    for (const num of told.acknowledged)
      expect(includes(received_chunks, num), `${at}, chunk ${num}`).toBe(true);
  }
  const id = told.id ?? (await beginUpload(hub, file));
  const { file_id, sha256 } = await carryOn(hub, id, file);
  expect(sha256, at).toBe(file.sha256);
  expect(await servedContent(hub, file.sha256), at).toBe(file.sha256);
  const { files } = await filesWith(hub, file.sha256);
  expect(
    files.map(({ file_id: recorded, filepath }) => [recorded, filepath]),
    at,
  ).toEqual([[file_id, file.filepath]]);
  expect(await leftovers(hub), at).toEqual([]);
}
