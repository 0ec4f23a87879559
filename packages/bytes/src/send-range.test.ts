import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BufferPool, TRANSFER_BUFFER_BYTES } from './buffer-pool.ts';
import { sendRange } from './send-range.ts';
import { collect, exchangeHttp, HeldReceiver, openLoopback } from './testing/loopback.ts';
import { SampleFile } from './testing/sample-file.ts';

const size = 24 * 1024 * 1024 + 17;
let file: SampleFile;
beforeAll(async () => {
  file = await SampleFile.make(size);
});
afterAll(() => file[Symbol.asyncDispose]());

const readInto = (buffer: Uint8Array, position: number): Promise<number> => file.readInto(buffer, position);

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
    expect(body.equals(file.content.subarray(start, end))).toBe(true);
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
    expect((await received).equals(Buffer.concat([file.content, file.content, file.content]))).toBe(true);
    expect(buffers.allocated).toBe(2);
    expect(buffers.idle).toBe(2);
  });

  test('for any range, buffer, block limit and short reads, with a receiver that looks at a block late', async () => {
    const small = file.content.subarray(0, 5000);
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
  expect(to.bytes.equals(file.content.subarray(0, 4000))).toBe(true);
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
    expect(file.content.compare(chunk, 0, chunk.byteLength, at, at + chunk.byteLength)).toBe(0);
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
