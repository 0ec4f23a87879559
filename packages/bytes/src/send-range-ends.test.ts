import { getEventListeners, once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { isHoldfastError } from '@holdfast/contract/errors';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BufferPool } from './buffer-pool.ts';
import { sendRange } from './send-range.ts';
import { exchangeHttp, HeldReceiver, openLoopback } from './testing/loopback.ts';
import { rejectionOf } from './testing/rejection.ts';
import { SampleFile } from './testing/sample-file.ts';
import { WatchedPool } from './testing/watched-pool.ts';

const size = 24 * 1024 * 1024 + 17;
let file: SampleFile;
beforeAll(async () => {
  file = await SampleFile.make(size);
});
afterAll(() => file[Symbol.asyncDispose]());

const readInto = (buffer: Uint8Array, position: number): Promise<number> => file.readInto(buffer, position);

describe('a source that fails', () => {
  test('by ending early is refused with the bytes it had, and the receiver is left to the caller', async () => {
    await using connection = await openLoopback();
    connection.far.resume();
    const range = { start: size - 100, end: size + 1 };
    const error = await rejectionOf(sendRange({ readInto, range, to: connection.near }));
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
    const error = await rejectionOf(sending);
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
    const outcome = rejectionOf(sending);
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
    const sending = rejectionOf(sendRange({ readInto, range: { start: 0, end: size }, to: near, buffers }));
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
      rejectionOf(sendRange({ readInto, range: { start: 0, end: size }, to: response, buffers })).then(
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
    const outcome = rejectionOf(sending);
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
    expect(isHoldfastError(await rejectionOf(sending), 'cancelled')).toBe(true);
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
    expect(isHoldfastError(await rejectionOf(sending), 'cancelled')).toBe(true);
    expect(to.taken).toEqual([]);
  });

  test('a receiver that fails stops the transfer with its reason', async () => {
    const to = new HeldReceiver();
    const sending = rejectionOf(sendRange({ readInto, range: { start: 0, end: 5000 }, to }));
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
      rejectionOf(sendRange({ ...options, to: gone })),
      rejectionOf(sendRange({ ...options, to: ended })),
      rejectionOf(sendRange({ ...options, to: new HeldReceiver(), signal: AbortSignal.abort() })),
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
