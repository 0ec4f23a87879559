import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isHoldfastError } from '@holdfast/contract/errors';
import { HashPool } from './hash-pool.ts';
import type { HashResult } from './hash-pool.ts';
import { EMPTY_SHA256, sha256Hex } from './sha256.ts';

const MiB = 1024 * 1024;
let folder: string;
let endless: FileHandle;
const handles: FileHandle[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-hash-'));
  // Nothing but a hole, and far too long to be hashed within a test: a job that runs until it is stopped.
  endless = await open(join(folder, 'endless'), 'w+');
  await endless.truncate(2 ** 42);
});

afterAll(async () => {
  for (const handle of [endless, ...handles]) await handle.close();
  await rm(folder, { recursive: true });
});

async function fileOf(bytes: Uint8Array): Promise<FileHandle> {
  const path = join(folder, `file-${handles.length}`);
  await writeFile(path, bytes);
  const handle = await open(path);
  handles.push(handle);
  return handle;
}

test('hashes a range alone, and as much of it as there is', async () => {
  await using pool = new HashPool({ workers: 1 });
  const bytes = randomBytes(3 * MiB + 17);
  const handle = await fileOf(bytes);
  const hashed = (start: number, end: number): Promise<HashResult> =>
    pool.hashFd(handle.fd, { size: end - start, range: { start, end } });
  const within = bytes.subarray(MiB - 5, 2 * MiB + 9);
  expect(await hashed(MiB - 5, 2 * MiB + 9)).toEqual({ sha256: sha256Hex(within), bytes: within.byteLength });
  expect(await hashed(3 * MiB, 4 * MiB)).toEqual({ sha256: sha256Hex(bytes.subarray(3 * MiB)), bytes: 17 });
  expect(await hashed(7, 7)).toEqual({ sha256: EMPTY_SHA256, bytes: 0 });
});

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Starts a job that runs until it is stopped; resolves once a worker is at it. */
async function occupy(pool: HashPool): Promise<{ stop: AbortController; outcome: Promise<unknown> }> {
  const stop = new AbortController();
  const running = Promise.withResolvers<void>();
  const job = pool.hashFd(endless.fd, {
    size: 2 ** 42,
    signal: stop.signal,
    onProgress: () => running.resolve(),
  });
  const outcome = failure(job);
  await running.promise;
  return { stop, outcome };
}

describe('digests', () => {
  test.each([0, 1, 4096, MiB - 1, MiB, MiB + 1, 5 * MiB + 12_345])(
    'of %d bytes equal those of node:crypto',
    async (size) => {
      await using pool = new HashPool();
      const bytes = randomBytes(size);
      const file = await fileOf(bytes);
      expect(await pool.hashFd(file.fd, { size })).toEqual({ sha256: sha256Hex(bytes), bytes: size });
    },
  );

  test('of many files at once', async () => {
    await using pool = new HashPool({ workers: 3 });
    const jobs: Promise<HashResult>[] = [];
    const expected: string[] = [];
    for (let index = 0; index < 60; index += 1) {
      const bytes = randomBytes((index * 7919) % 200_000);
      expected.push(sha256Hex(bytes));
      jobs.push(pool.hashFd((await fileOf(bytes)).fd, { size: bytes.byteLength }));
    }
    expect((await Promise.all(jobs)).map((result) => result.sha256)).toEqual(expected);
  });

  test('cover the whole file wherever the descriptor stands, and leave it there', async () => {
    await using pool = new HashPool();
    const file = await fileOf(Buffer.from('abcdef'));
    await file.read(Buffer.alloc(2), 0, 2, null);
    expect((await pool.hashFd(file.fd, { size: 6 })).sha256).toBe(sha256Hex('abcdef'));
    expect((await file.read(Buffer.alloc(4), 0, 4, null)).buffer.toString()).toBe('cdef');
  });

  test('cover what the file has, not what was expected, and tell its length', async () => {
    await using pool = new HashPool();
    const file = await fileOf(Buffer.from('longer'));
    expect(await pool.hashFd(file.fd, { size: 3 })).toEqual({ sha256: sha256Hex('longer'), bytes: 6 });
    const empty = await fileOf(Buffer.alloc(0));
    expect(await pool.hashFd(empty.fd, { size: 3 })).toEqual({ sha256: EMPTY_SHA256, bytes: 0 });
  });

  test('progress grows by about 8 MiB', async () => {
    await using pool = new HashPool();
    const file = await fileOf(Buffer.alloc(20 * MiB));
    const seen: number[] = [];
    await pool.hashFd(file.fd, { size: 20 * MiB, onProgress: (bytes) => seen.push(bytes) });
    expect(seen).toEqual([8 * MiB, 16 * MiB]);
  });
});

describe('cancelling', () => {
  test('a running job stops, and its worker goes on with the next', async () => {
    await using pool = new HashPool({ workers: 1 });
    const { stop, outcome } = await occupy(pool);
    const file = await fileOf(Buffer.from('next'));
    const next = pool.hashFd(file.fd, { size: 4 });
    stop.abort();
    expect(isHoldfastError(await outcome, 'cancelled')).toBe(true);
    expect((await next).sha256).toBe(sha256Hex('next'));
  });

  test('a waiting job leaves the queue at once', async () => {
    await using pool = new HashPool({ workers: 1, maxQueue: 1 });
    const { stop, outcome } = await occupy(pool);
    const leave = new AbortController();
    const waiting = failure(pool.hashFd(endless.fd, { size: 1, signal: leave.signal }));
    leave.abort();
    expect(isHoldfastError(await waiting, 'cancelled')).toBe(true);
    const file = await fileOf(Buffer.from('its place is free'));
    const other = pool.hashFd(file.fd, { size: 17 });
    stop.abort();
    await outcome;
    expect((await other).bytes).toBe(17);
  });

  test('a signal that is aborted already starts nothing', async () => {
    await using pool = new HashPool();
    const error = await failure(pool.hashFd(endless.fd, { size: 1, signal: AbortSignal.abort() }));
    expect(isHoldfastError(error, 'cancelled')).toBe(true);
  });
});

describe('the queue', () => {
  test('small files go first, and every fourth turn is the oldest one', async () => {
    await using pool = new HashPool({ workers: 1 });
    const { stop, outcome } = await occupy(pool);
    const file = await fileOf(Buffer.from('x'));
    const order: number[] = [];
    const jobs = [900, 500, 400, 300, 200, 100].map(async (size) => {
      await pool.hashFd(file.fd, { size });
      order.push(size);
    });
    stop.abort();
    await outcome;
    await Promise.all(jobs);
    // The running job was the first turn.
    expect(order).toEqual([100, 200, 900, 300, 400, 500]);
  });

  test('a full queue refuses more', async () => {
    await using pool = new HashPool({ workers: 1, maxQueue: 1 });
    const { stop, outcome } = await occupy(pool);
    const file = await fileOf(Buffer.from('x'));
    const waiting = pool.hashFd(file.fd, { size: 1 });
    const error = await failure(pool.hashFd(file.fd, { size: 1 }));
    expect(isHoldfastError(error, 'too_many_requests')).toBe(true);
    stop.abort();
    await outcome;
    expect((await waiting).bytes).toBe(1);
  });
});

describe('failures', () => {
  test('a descriptor that cannot be read is refused with the reason', async () => {
    await using pool = new HashPool();
    const directory = await open(folder);
    handles.push(directory);
    const error = await failure(pool.hashFd(directory.fd, { size: 1 }));
    expect(isHoldfastError(error, 'backend_unavailable') && error.message).toContain('EISDIR');
  });

  test('a worker that crashes fails its job, and another one takes its place', async () => {
    const program = join(folder, 'crashing-worker.mjs');
    const real = new URL('./hash-worker.ts', import.meta.url).href;
    await writeFile(
      program,
      `import { parentPort } from 'node:worker_threads';
      parentPort.on('message', (job) => { if (job.progressBytes > 0) process.exit(3); });
      await import(${JSON.stringify(real)});`,
    );
    await using pool = new HashPool({ workers: 1, workerUrl: pathToFileURL(program) });
    const file = await fileOf(Buffer.from('still here'));
    const crash = failure(pool.hashFd(file.fd, { size: 1, onProgress: () => undefined }));
    const waiting = pool.hashFd(file.fd, { size: 10 });
    const error = await crash;
    expect(isHoldfastError(error, 'internal') && error.message).toContain('exit code 3');
    expect(isHoldfastError(error) && error.retryable).toBe(true);
    expect((await waiting).sha256).toBe(sha256Hex('still here'));
  });

  test('a worker that throws fails its job with what it threw', async () => {
    const program = join(folder, 'throwing-worker.mjs');
    await writeFile(program, `throw new Error('boom');`);
    await using pool = new HashPool({ workers: 1, workerUrl: pathToFileURL(program) });
    const jobs = [
      failure(pool.hashFd(endless.fd, { size: 1 })),
      failure(pool.hashFd(endless.fd, { size: 1 })),
    ];
    for (const error of await Promise.all(jobs)) {
      expect(isHoldfastError(error, 'internal')).toBe(true);
      expect(error instanceof Error && error.cause instanceof Error && error.cause.message).toBe('boom');
    }
  });
});

describe('the end', () => {
  test('disposing rejects what runs and what waits, and what comes later', async () => {
    const pool = new HashPool({ workers: 1 });
    const { outcome } = await occupy(pool);
    const waiting = failure(pool.hashFd(endless.fd, { size: 1 }));
    await pool[Symbol.asyncDispose]();
    await pool[Symbol.asyncDispose]();
    expect(isHoldfastError(await outcome, 'shutting_down')).toBe(true);
    expect(isHoldfastError(await waiting, 'shutting_down')).toBe(true);
    const late = await failure(pool.hashFd(endless.fd, { size: 1 }));
    expect(isHoldfastError(late, 'shutting_down')).toBe(true);
  });

  test('a process with idle workers ends by itself, and not before its job is done', async () => {
    const script = `
      import { openSync } from 'node:fs';
      const { HashPool } = await import(${JSON.stringify(new URL('./hash-pool.ts', import.meta.url).href)});
      const fd = openSync(process.argv[1], 'r');
      new HashPool().hashFd(fd, { size: 3 }).then((result) => console.log(result.sha256));
    `;
    const path = join(folder, 'child-file');
    await writeFile(path, 'abc');
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script, path], {
      timeout: 20_000,
    });
    expect(stdout.trim()).toBe(sha256Hex('abc'));
  });
});
