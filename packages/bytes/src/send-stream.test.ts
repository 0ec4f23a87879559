import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isHoldfastError } from '@holdfast/contract/errors';
import { sendStream } from './send-stream.ts';
import { collect, HeldReceiver, openLoopback } from './testing/loopback.ts';

const content = randomBytes(9 * 1024 * 1024 + 5);

async function* chunksOf(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

test('the bytes that arrive over a socket are the bytes of the source', async () => {
  await using connection = await openLoopback();
  const received = collect(connection.far);
  let counted = 0;
  const sent = await sendStream({
    source: Readable.from(chunksOf(content, 70_001), { objectMode: false }),
    to: connection.near,
    length: content.byteLength,
    onBytes: (bytes) => {
      counted += bytes;
    },
  });
  connection.near.end();
  expect((await received).equals(content)).toBe(true);
  expect(sent).toBe(content.byteLength);
  expect(counted).toBe(content.byteLength);
});

test('exactly the announced length passes, and nothing beyond it is written', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 }),
      fc.nat({ max: 100 }),
      async (chunks, length) => {
        await using connection = await openLoopback();
        const received = collect(connection.far);
        const whole = Buffer.concat(chunks);
        const outcome = await failure(
          sendStream({ source: Readable.from(chunks), to: connection.near, length }),
        );
        connection.near.end();
        const arrived = await received;
        expect(isHoldfastError(outcome, 'backend_unavailable')).toBe(whole.byteLength !== length);
        expect(arrived.byteLength).toBeLessThanOrEqual(length);
        expect(arrived.equals(whole.subarray(0, arrived.byteLength))).toBe(true);
        if (outcome === undefined) expect(arrived.byteLength).toBe(length);
      },
    ),
    { numRuns: 50 },
  );
});

test('no more than one chunk is fetched while one is being written', async () => {
  const to = new HeldReceiver();
  let fetched = 0;
  async function* source(): AsyncGenerator<Uint8Array> {
    for (; fetched < 6;) {
      fetched += 1;
      yield Buffer.from([fetched]);
    }
  }
  const sending = sendStream({ source: source(), to, length: 6 });
  for (let written = 1; written <= 6; written += 1) {
    await to.arrival();
    expect(fetched).toBeLessThanOrEqual(written + 1);
    to.release();
  }
  await sending;
  expect([...to.bytes]).toEqual([1, 2, 3, 4, 5, 6]);
});

test('pace is asked before each chunk', async () => {
  await using connection = await openLoopback();
  connection.far.resume();
  const asked: number[] = [];
  const pace = async (bytes: number): Promise<void> => {
    asked.push(bytes);
  };
  const bytes = content.subarray(0, 250);
  await sendStream({ source: chunksOf(bytes, 100), to: connection.near, length: 250, pace });
  expect(asked).toEqual([100, 100, 50]);
});

describe('stopping', () => {
  test('a failing source is reported with its reason', async () => {
    const cause = new Error('socket hang up');
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('x');
      throw cause;
    }
    await using connection = await openLoopback();
    const error = await failure(sendStream({ source: source(), to: connection.near, length: 2 }));
    expect(isHoldfastError(error, 'backend_unavailable') && error.message).toContain('socket hang up');
    expect(error instanceof Error && error.cause).toBe(cause);
  });

  test('a client that goes away ends the transfer and closes the source', async () => {
    await using connection = await openLoopback();
    const source = Readable.from(chunksOf(content, 64 * 1024), { objectMode: false, highWaterMark: 1024 });
    const closed = Promise.withResolvers<void>();
    source.once('close', closed.resolve);
    const sending = failure(sendStream({ source, to: connection.near, length: content.byteLength }));
    await once(connection.far, 'readable');
    connection.far.destroy();
    expect(isHoldfastError(await sending, 'cancelled')).toBe(true);
    await closed.promise;
    expect(source.destroyed).toBe(true);
  });

  test('an abort ends a transfer whose source hangs', async () => {
    const asked = Promise.withResolvers<void>();
    const source: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          asked.resolve();
          return Promise.withResolvers<IteratorResult<Uint8Array>>().promise;
        },
        return: () => Promise.reject(new Error('It cannot be closed either.')),
      }),
    };
    const stop = new AbortController();
    const to = new HeldReceiver();
    const sending = failure(sendStream({ source, to, length: 5, signal: stop.signal }));
    await asked.promise;
    stop.abort();
    expect(isHoldfastError(await sending, 'cancelled')).toBe(true);
    expect(to.writableLength).toBe(0);
  });

  test('an abort ends a transfer whose client takes nothing', async () => {
    const stop = new AbortController();
    const to = new HeldReceiver();
    const sending = failure(
      sendStream({ source: chunksOf(content, 1000), to, length: 5000, signal: stop.signal }),
    );
    await to.arrival();
    stop.abort();
    expect(isHoldfastError(await sending, 'cancelled')).toBe(true);
    to.release();
    expect(to.writableLength).toBe(0);
  });
});
