import { createHash, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { startHub, type HubUnderTest } from '../support/hub.ts';
import { bootBackend, filesPath, problemOf, store, upload } from '../support/hub-storage.ts';
import { startProcess } from '../support/process.ts';
import { RandomContent } from '../support/random-file.ts';

const mebibyte = 1024 * 1024;
const filePath = '/images/disk.img';
const url = `/api/v1/files${filePath}`;
const randomised = { rounds: 16, size: 16 * mebibyte };

describe('an upload with a wrong expected checksum', () => {
  it.each([
    ['X-Expected-Checksum-SHA256', 'a'.repeat(64)],
    ['Content-Digest', `sha-256=:${Buffer.alloc(32, 1).toString('base64')}:`],
    ['Repr-Digest', `sha-256=:${Buffer.alloc(32, 1).toString('base64')}:`],
  ])('in %s is refused, and the earlier file is still served byte for byte', async (header, value) => {
    await using hub = await startHub();
    const { id, root } = await bootBackend(hub);
    const earlier = new RandomContent('earlier', 3 * mebibyte + 1).bytes();
    await store(hub, id, filePath, Buffer.from(earlier));

    const response = await upload(hub, id, filePath, Buffer.from(randomBytes(2 * mebibyte)), {
      [header]: value,
    });
    expect(response.status).toBe(422);
    expect((await problemOf(response)).code).toBe('checksum_mismatch');
    const fresh = await upload(hub, id, '/new.bin', 'new', { [header]: value });
    expect(fresh.status).toBe(422);

    expect(await servedSha256(hub)).toBe(sha256Of(earlier));
    expect((await hub.api('/api/v1/files/new.bin')).status).toBe(404);
    await expectNothingStaged(root);
  });
});

describe('a hub killed during an upload', () => {
  it(
    'serves the old or the new file, whole, after kill -9 at random moments',
    { timeout: 240_000 },
    async () => {
      const seed = process.env['HOLDFAST_TEST_SEED'] ?? randomBytes(8).toString('hex');
      console.info(`HOLDFAST_TEST_SEED=${seed}`);
      await using hub = await startHub();
      const { id, root } = await bootBackend(hub);
      let current = new RandomContent(`${seed}-start`, randomised.size);
      await store(hub, id, filePath, Buffer.from(current.bytes()));
      const outcomes: string[] = [];

      for (let round = 0; round < randomised.rounds; round++) {
        const next = new RandomContent(`${seed}-${round}`, randomised.size);
        const dice = createHash('sha256').update(`${seed}-${round}`).digest();
        // Half of the rounds die somewhere in the body, the others some moments after its last byte.
        const inBody = round % 2 === 0;
        const bytes = inBody ? dice.readUInt32BE(0) % randomised.size : randomised.size;
        const milliseconds = inBody ? 0 : dice.readUInt32BE(4) % 60;
        const status = await uploadAndKill(hub, id, next, { bytes, milliseconds });

        await hub.restart();
        const moment = `seed ${seed}, round ${round}: ${bytes} bytes + ${milliseconds} ms, answer ${status ?? 'none'}`;
        const served = await servedSha256(hub);
        const allowed = status === null ? [current, next] : [next];
        expect(
          allowed.map((content) => content.sha256()),
          moment,
        ).toContain(served);
        await expectNothingStaged(root);
        const isNew = served === next.sha256();
        if (isNew) current = next;
        outcomes.push(isNew ? 'new' : 'old');
      }
      console.info(`after kill -9: ${outcomes.join(' ')}`);
    },
  );

  it.each(['rename,renameat,renameat2', 'fsync,fdatasync', 'write,pwrite64,pwritev'])(
    'serves the old or the new file, whole, after dying at each %s',
    { timeout: 240_000 },
    async (calls) => {
      await using hub = await startHub({ env: { UV_THREADPOOL_SIZE: '1' } });
      const { id, root } = await bootBackend(hub);
      let current = Buffer.from(new RandomContent('old', mebibyte).bytes());
      await store(hub, id, filePath, current);

      let deaths = 0;
      for (let stored = false; !stored && deaths < 100;) {
        const next = Buffer.from(new RandomContent(`${calls}-${deaths}`, mebibyte).bytes());
        stored = await uploadUntilDeath(hub, id, next, calls, deaths + 1);
        await hub.restart();
        const served = await servedSha256(hub);
        const allowed = stored ? [next] : [current, next];
        expect(allowed.map(sha256Of), `${calls} number ${deaths + 1}, stored: ${stored}`).toContain(served);
        await expectNothingStaged(root);
        if (served === sha256Of(next)) current = next;
        if (!stored) deaths++;
      }
      console.info(`${calls}: ${deaths} crash points`);
      expect(deaths).toBeGreaterThan(0);
      expect(deaths).toBeLessThan(100);
    },
  );
});

/** Uploads and kills the hub by `kill -9` at the moment. Resolves to the status when there was an answer before. */
async function uploadAndKill(
  hub: HubUnderTest,
  backendId: string,
  content: RandomContent,
  moment: { bytes: number; milliseconds: number },
): Promise<number | null> {
  const outgoing = request(hub.url + filesPath(backendId, filePath), {
    method: 'POST',
    agent: false,
    headers: {
      authorization: `Bearer ${hub.adminKey}`,
      'content-type': 'application/octet-stream',
      'content-length': content.size,
    },
  });
  const answer = new Promise<number | null>((resolve) => {
    outgoing.once('response', (response) => resolve(response.resume().statusCode ?? 0));
    outgoing.once('error', () => resolve(null));
  });
  const end = moment.bytes === content.size;
  const sent = pipeline(content.stream(0, moment.bytes), outgoing, { end });
  // A broken pipe is what this is about: the answer tells whether the hub was faster.
  await sent.catch(() => {});
  // The moment of the fault itself: nothing is waited for.
  await delay(moment.milliseconds);
  await hub.kill('SIGKILL');
  return await answer;
}

/**
 * Uploads under a tracer that lets the kernel kill the hub when it enters the n-th of these system calls.
 * Resolves to whether the upload was stored before that. strace counts by thread and by system call, so the hub has
 * one thread in its pool.
 */
async function uploadUntilDeath(
  hub: HubUnderTest,
  backendId: string,
  body: Buffer<ArrayBuffer>,
  calls: string,
  when: number,
): Promise<boolean> {
  const inject = `inject=${calls}:signal=SIGKILL:when=${when}`;
  const args = ['-f', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', inject, '-p', String(hub.pid)];
  await using tracer = await startProcess('strace', args);
  await tracer.waitForOutput(/attached/, { timeoutMs: 20_000, stream: 'stderr' });
  let response: Response;
  try {
    response = await upload(hub, backendId, filePath, body);
  } catch {
    expect(await hub.exited).toEqual({ code: null, signal: 'SIGKILL' });
    return false;
  }
  expect(response.status).toBe(200);
  return true;
}

async function servedSha256(hub: HubUnderTest): Promise<string> {
  const response = await hub.api(url);
  expect(response.status).toBe(200);
  const actual = sha256Of(Buffer.from(await response.arrayBuffer()));
  expect(response.headers.get('x-checksum-sha256')).toBe(actual);
  return actual;
}

function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The start-up sweep, or the refused upload itself, leaves no half file. */
async function expectNothingStaged(root: string): Promise<void> {
  const reserved = await readdir(path.join(root, '.holdfast'), { recursive: true, withFileTypes: true });
  const staged = reserved.filter((entry) => entry.parentPath.includes('/staging') && entry.isFile());
  expect(staged.map((entry) => entry.name)).toEqual([]);
}
