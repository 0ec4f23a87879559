import { randomBytes } from 'node:crypto';
import { getEventListeners, once } from 'node:events';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isHoldfastError } from '@holdfast/contract/errors';
import { BufferPool, TRANSFER_BUFFER_BYTES } from './buffer-pool.ts';
import { sendRange } from './send-range.ts';
import { collect, exchangeHttp, HeldReceiver, openLoopback } from './testing/loopback.ts';

const content = randomBytes(24 * 1024 * 1024 + 17);
const size = content.byteLength;
let folder: string;
let file: FileHandle;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-send-'));
  await writeFile(join(folder, 'file'), content);
  file = await open(join(folder, 'file'));
});

afterAll(async () => {
  await file.close();
  await rm(folder, { recursive: true });
});

async function readInto(buffer: Uint8Array, position: number): Promise<number> {
  return (await file.read(buffer, 0, buffer.byteLength, position)).bytesRead;
}

/** A pool that tells when every buffer it made is back. */
class WatchedPool extends BufferPool {
  readonly #allBack = Promise.withResolvers<void>();

  override give(buffer: Buffer): void {
    super.give(buffer);
    if (this.idle === this.allocated) this.#allBack.resolve();
  }

  async allBack(): Promise<void> {
    await this.#allBack.promise;
  }
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('the bytes that arrive are the bytes of the range', () => {
  test.each([
    [0, size],
    [0, 1],
    [size - 1, size],
    [5, 5],
    [3, 3 + TRANSFER_BUFFER_BYTES],
    [0, TRANSFER_BUFFER_BYTES + 1],
    [TRANSFER_BUFFER_BYTES - 1, 4 * TRANSFER_BUFFER_BYTES],
    [1000, 5096],
  ])('over HTTP, from %d to %d', async (start, end) => {
    const counted: number[] = [];
    const sent = Promise.withResolvers<number>();
    await using exchange = await exchangeHttp((_request, response) => {
      response.writeHead(200, { 'Content-Length': end - start });
      sendRange({ readInto, range: { start, end }, to: response, onBytes: (bytes) => counted.push(bytes) })
        .then((bytes) => {
          response.end();
          sent.resolve(bytes);
        })
        .catch(sent.reject);
    });
    const body = await collect(exchange.answer);
    expect(body.equals(content.subarray(start, end))).toBe(true);
    expect(await sent.promise).toBe(end - start);
    expect(counted.reduce((sum, bytes) => sum + bytes, 0)).toBe(end - start);
  });

  test('over a raw socket, several transfers after each other with the same two buffers', async () => {
    await using connection = await openLoopback();
    const received = collect(connection.far);
    const buffers = new BufferPool();
    const range = { start: 0, end: size };
    for (let round = 0; round < 3; round += 1)
      await sendRange({ readInto, range, to: connection.near, buffers });
    connection.near.end();
    expect((await received).equals(Buffer.concat([content, content, content]))).toBe(true);
    expect(buffers.allocated).toBe(2);
    expect(buffers.idle).toBe(2);
  });

  test('for any range, buffer, block limit and short reads, with a receiver that looks at a block late', async () => {
    const small = content.subarray(0, 5000);
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 5000 }),
        fc.nat({ max: 5000 }),
        fc.integer({ min: 1, max: 700 }),
        fc.integer({ min: 1, max: 900 }),
        fc.array(fc.integer({ min: 1, max: 800 }), { minLength: 1, maxLength: 10 }),
        async (a, b, bufferBytes, blockBytes, reads) => {
          const range = { start: Math.min(a, b), end: Math.max(a, b) };
          const buffers = new BufferPool({ bufferBytes });
          const to = new HeldReceiver();
          let turn = 0;
          const sending = sendRange({
            readInto: async (buffer, position) => {
              const most = Math.min(buffer.byteLength, reads[turn++ % reads.length] ?? 1);
              return small.copy(buffer, 0, position, Math.min(small.byteLength, position + most));
            },
            range,
            to,
            buffers,
            blockBytes: () => blockBytes,
          });
          const total = range.end - range.start;
          let left = total;
          while (left > 0) {
            await to.arrival();
            to.release();
            left -= to.taken.at(-1)?.byteLength ?? 0;
          }
          expect(await sending).toBe(total);
          expect(to.bytes.equals(small.subarray(range.start, range.end))).toBe(true);
          expect(buffers.allocated).toBeLessThanOrEqual(2);
          expect(buffers.idle).toBe(buffers.allocated);
        },
      ),
      { numRuns: 60 },
    );
  });
});

test('a short range takes no buffer of the pool, one that fits takes one', async () => {
  const buffers = new BufferPool({ bufferBytes: 1000 });
  for (const [end, allocated] of [
    [250, 0],
    [1000, 1],
    [1001, 1],
  ] as const) {
    const to = new HeldReceiver();
    const sending = sendRange({ readInto, range: { start: 0, end }, to, buffers });
    await to.arrival();
    to.release();
    if (end > 1000) {
      await to.arrival();
      to.release();
    }
    await sending;
    expect(buffers.allocated).toBe(allocated);
  }
});

test('a receiver that takes nothing holds two buffers and stops the reading', async () => {
  const buffers = new BufferPool({ bufferBytes: 1000 });
  const to = new HeldReceiver();
  const reads: number[] = [];
  const sending = sendRange({
    readInto: (buffer, position) => {
      reads.push(position);
      return readInto(buffer, position);
    },
    range: { start: 0, end: 4000 },
    to,
    buffers,
  });
  for (const expected of [
    [0, 1000],
    [0, 1000, 2000],
    [0, 1000, 2000, 3000],
    [0, 1000, 2000, 3000],
  ]) {
    await to.arrival();
    expect(reads).toEqual(expected);
    to.release();
  }
  await sending;
  expect(to.bytes.equals(content.subarray(0, 4000))).toBe(true);
  expect(buffers.allocated).toBe(2);
});

test('a slow reader gets all bytes through two buffers', async () => {
  await using connection = await openLoopback();
  const buffers = new BufferPool();
  const sending = sendRange({ readInto, range: { start: 0, end: size }, to: connection.near, buffers });
  let at = 0;
  for await (const chunk of connection.far) {
    if (!(chunk instanceof Uint8Array)) throw new Error('It is not a chunk of bytes.');
    // One block is being written, and only the last one may be queued behind it.
    expect(connection.near.writableLength).toBeLessThanOrEqual(
      TRANSFER_BUFFER_BYTES + (size % TRANSFER_BUFFER_BYTES),
    );
    expect(content.compare(chunk, 0, chunk.byteLength, at, at + chunk.byteLength)).toBe(0);
    at += chunk.byteLength;
    if (at === size) break;
    await setImmediate();
  }
  await sending;
  expect(buffers.allocated).toBe(2);
});

test('pace is asked before each block, and its bytes go only then', async () => {
  const to = new HeldReceiver();
  const asked: number[] = [];
  const gate = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const sending = sendRange({
    readInto,
    range: { start: 0, end: 2500 },
    to,
    buffers: new BufferPool({ bufferBytes: 1000 }),
    pace: async (bytes) => {
      asked.push(bytes);
      if (asked.length === 2) {
        reached.resolve();
        await gate.promise;
      }
    },
  });
  await to.arrival();
  to.release();
  await reached.promise;
  expect(to.taken.length).toBe(1);
  expect(to.writableLength).toBe(0);
  gate.resolve();
  for (let block = 0; block < 2; block += 1) {
    await to.arrival();
    to.release();
  }
  await sending;
  expect(asked).toEqual([1000, 1000, 500]);
});

describe('a source that fails', () => {
  test('by ending early is refused with the bytes it had, and the receiver is left to the caller', async () => {
    await using connection = await openLoopback();
    connection.far.resume();
    const range = { start: size - 100, end: size + 1 };
    const error = await failure(sendRange({ readInto, range, to: connection.near }));
    expect(isHoldfastError(error, 'backend_unavailable') && error.message).toContain('100 of 101 bytes');
    expect(connection.near.destroyed || connection.near.writableEnded).toBe(false);
  });

  test('by an error of the file system is refused with that reason', async () => {
    const to = new HeldReceiver();
    const cause = Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
    const buffers = new WatchedPool({ bufferBytes: 1000 });
    const sending = sendRange({
      readInto: async (buffer, position) => {
        if (position > 0) throw cause;
        return readInto(buffer, position);
      },
      range: { start: 0, end: 3000 },
      to,
      buffers,
    });
    const error = await failure(sending);
    expect(isHoldfastError(error, 'backend_unavailable') && error.message).toContain('EIO');
    expect(error instanceof Error && error.cause).toBe(cause);
    // The first block is still with the receiver: its buffer must not be lent yet.
    expect(buffers.idle).toBe(1);
    to.release();
    await buffers.allBack();
  });

  test('while the pace holds the block before it does so only once that block is due', async () => {
    const gate = Promise.withResolvers<void>();
    const failed = Promise.withResolvers<void>();
    const to = new HeldReceiver();
    const sending = sendRange({
      readInto: async (buffer, position) => {
        if (position === 0) return readInto(buffer, position);
        failed.resolve();
        throw new Error('gone');
      },
      range: { start: 0, end: 2000 },
      to,
      buffers: new BufferPool({ bufferBytes: 1000 }),
      pace: () => gate.promise,
    });
    const outcome = failure(sending);
    await failed.promise;
    gate.resolve();
    expect(isHoldfastError(await outcome, 'backend_unavailable')).toBe(true);
  });
});

describe('stopping', () => {
  test('a client that goes away ends the transfer and frees its buffers', async () => {
    await using connection = await openLoopback();
    const { near, far } = connection;
    const buffers = new WatchedPool();
    const sending = failure(sendRange({ readInto, range: { start: 0, end: size }, to: near, buffers }));
    await once(far, 'readable');
    far.destroy();
    expect(isHoldfastError(await sending, 'cancelled')).toBe(true);
    near.destroy();
    await buffers.allBack();
    expect(buffers.allocated).toBeLessThanOrEqual(2);
  });

  test('an HTTP client that goes away ends the transfer to its response', async () => {
    const buffers = new WatchedPool();
    const outcome = Promise.withResolvers<unknown>();
    await using exchange = await exchangeHttp((request, response) => {
      response.writeHead(200, { 'Content-Length': size });
      failure(sendRange({ readInto, range: { start: 0, end: size }, to: response, buffers })).then(
        (error) => {
          request.socket.destroy();
          outcome.resolve(error);
        },
        outcome.reject,
      );
    });
    await once(exchange.answer, 'readable');
    exchange.answer.destroy();
    expect(isHoldfastError(await outcome.promise, 'cancelled')).toBe(true);
    await buffers.allBack();
  });

  test('an abort ends a transfer whose client takes nothing; its buffer stays lent until the socket lets go', async () => {
    await using connection = await openLoopback();
    const { near, far } = connection;
    far.pause();
    const buffers = new WatchedPool();
    const stop = new AbortController();
    const full = Promise.withResolvers<void>();
    const sending = sendRange({
      readInto,
      range: { start: 0, end: size },
      to: near,
      buffers,
      signal: stop.signal,
      // The next block is written in the same turn; what is still pending after it did not fit into the kernel.
      onBytes: () => void setImmediate().then(() => near.writableLength > 0 && full.resolve()),
    });
    const outcome = failure(sending);
    await full.promise;
    const reason = new Error('The hub stops.');
    stop.abort(reason);
    const error = await outcome;
    expect(isHoldfastError(error, 'cancelled') && error.cause).toBe(reason);
    expect(near.writableLength).toBeGreaterThan(0);
    expect(buffers.idle).toBeLessThan(buffers.allocated);
    expect(near.destroyed).toBe(false);
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
    near.destroy();
    await buffers.allBack();
  });

  test('a read that hangs does not hold up an abort, and keeps its buffer', async () => {
    const buffers = new WatchedPool({ bufferBytes: 1000 });
    const read = Promise.withResolvers<number>();
    const started = Promise.withResolvers<void>();
    const stop = new AbortController();
    const to = new HeldReceiver();
    const sending = sendRange({
      readInto: () => {
        started.resolve();
        return read.promise;
      },
      range: { start: 0, end: 5000 },
      to,
      buffers,
      signal: stop.signal,
    });
    await started.promise;
    stop.abort();
    expect(isHoldfastError(await failure(sending), 'cancelled')).toBe(true);
    expect(buffers.idle).toBe(0);
    read.resolve(1000);
    await buffers.allBack();
    expect(to.writableLength).toBe(0);
  });

  test('a pace that never lets go does not hold up a close', async () => {
    const to = new HeldReceiver();
    const asked = Promise.withResolvers<void>();
    const sending = sendRange({
      readInto,
      range: { start: 0, end: 5000 },
      to,
      pace: () => {
        asked.resolve();
        return Promise.withResolvers<void>().promise;
      },
    });
    await asked.promise;
    to.destroy();
    expect(isHoldfastError(await failure(sending), 'cancelled')).toBe(true);
    expect(to.taken).toEqual([]);
  });

  test('a receiver that fails stops the transfer with its reason', async () => {
    const to = new HeldReceiver();
    const sending = failure(sendRange({ readInto, range: { start: 0, end: 5000 }, to }));
    await to.arrival();
    const cause = new Error('EPIPE');
    to.destroy(cause);
    const error = await sending;
    expect(isHoldfastError(error, 'cancelled') && error.cause).toBe(cause);
  });

  test('nothing is read for a receiver that is gone, or a signal that is aborted', async () => {
    const reads: number[] = [];
    const options = {
      readInto: async (_buffer: Uint8Array, position: number) => {
        reads.push(position);
        return 1;
      },
      range: { start: 0, end: 1 },
    };
    const gone = new HeldReceiver();
    gone.destroy();
    const ended = new HeldReceiver();
    ended.end();
    const outcomes = [
      failure(sendRange({ ...options, to: gone })),
      failure(sendRange({ ...options, to: ended })),
      failure(sendRange({ ...options, to: new HeldReceiver(), signal: AbortSignal.abort() })),
    ];
    for (const outcome of outcomes) expect(isHoldfastError(await outcome, 'cancelled')).toBe(true);
    expect(reads).toEqual([]);
  });

  test('a finished transfer leaves no listener behind', async () => {
    await using connection = await openLoopback();
    connection.far.resume();
    const count = (): number[] =>
      ['close', 'error', 'drain'].map((event) => connection.near.listenerCount(event));
    const before = count();
    const stop = new AbortController();
    await sendRange({ readInto, range: { start: 0, end: size }, to: connection.near, signal: stop.signal });
    expect(count()).toEqual(before);
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
  });
});
