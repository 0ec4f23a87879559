import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isHoldfastError } from '@holdfast/contract/errors';
import { sendRange } from '../send-range.ts';
import { collect, openLoopback } from '../testing/loopback.ts';
import type { TransferSource } from './followed-transfer.ts';
import { SteppedClock } from './testing/stepped-clock.ts';
import { Throttle } from './throttle.ts';
import type { ThrottleOptions } from './throttle.ts';
import type { PacedStream, TransferOutcome, TransferView } from './transfer-view.ts';

interface Meta {
  actor: string;
}

const settings = { budgetMbps: 8, minTransferMbps: 1, perClientMbps: null };
const source: TransferSource<Meta> = {
  client: '10.0.0.7',
  path: '/boot/image.iso',
  protocol: 'http',
  size: 1_000_000,
  meta: { actor: 'somebody' },
};

let clock: SteppedClock;
let throttle: Throttle<Meta>;
let started: TransferView<Meta>[];
let progress: TransferView<Meta>[];
let finished: (TransferOutcome & { view: TransferView<Meta> })[];

function make(options: Partial<ThrottleOptions<Meta>> = {}): Throttle<Meta> {
  return new Throttle<Meta>({
    settings,
    now: clock.now,
    setTimer: clock.setTimer,
    onStarted: (view) => started.push(view),
    onProgress: (view) => progress.push(view),
    onFinished: (view, outcome) => finished.push({ view, ...outcome }),
    ...options,
  });
}

beforeEach(() => {
  clock = new SteppedClock();
  started = [];
  progress = [];
  finished = [];
  throttle = make();
});

afterEach(() => {
  throttle[Symbol.dispose]();
});

/** Sends in blocks until so many bytes are sent. */
async function send(stream: PacedStream, bytes: number): Promise<void> {
  for (let left = bytes; left > 0;) {
    const block = Math.min(left, stream.blockBytes);
    await stream.pace(block);
    stream.sent(block);
    left -= block;
  }
}

async function failure(work: Promise<unknown> | void): Promise<unknown> {
  return Promise.resolve(work).then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('pacing', () => {
  test('within what is saved up goes at once, without a promise or a timer', () => {
    const stream = throttle.open(source);
    expect(stream.pace(5000)).toBe(undefined);
    expect(stream.pace(5000)).toBe(undefined);
    expect(clock.timers).toBe(0);
  });

  test('sends at the rate of the budget, small blocks at a time', async () => {
    const stream = throttle.open(source);
    expect(stream.blockBytes).toBe(8000);
    const sending = send(stream, 900_000);
    await clock.advance(500);
    const [half] = throttle.list();
    expect(half?.bytes).toBeGreaterThan(490_000);
    expect(half?.bytes).toBeLessThanOrEqual(520_000);
    await clock.advance(500);
    await sending;
    const [view] = throttle.list();
    expect(view).toMatchObject({ bytes: 900_000, streams: 1, requests: 1, aborted: 0, share: 1_000_000 });
    expect(view?.rate).toBeGreaterThan(800_000);
    expect(view?.etaSeconds).toBeCloseTo(0.1, 1);
    expect(view?.priority).toBe(32);
    expect(view?.waitingMs).toBeGreaterThan(700);
    expect(throttle.totals().http).toEqual({ bytes: 900_000, waitingMs: view?.waitingMs, active: 1 });
    expect(throttle.totals().tftp).toEqual({ bytes: 0, waitingMs: 0, active: 0 });
  });

  test('counts HTTP and TFTP against one budget', async () => {
    const http = send(throttle.open({ ...source, size: null }), 10_000_000);
    const tftp = send(throttle.open({ ...source, size: null, protocol: 'tftp' }), 10_000_000);
    await clock.advance(2000);
    const totals = throttle.totals();
    expect(totals.http.bytes + totals.tftp.bytes).toBeLessThan(2_050_000);
    expect(totals.http.bytes + totals.tftp.bytes).toBeGreaterThan(1_960_000);
    expect(Math.abs(totals.http.bytes - totals.tftp.bytes)).toBeLessThan(60_000);
    throttle[Symbol.dispose]();
    expect(isHoldfastError(await failure(http), 'shutting_down')).toBe(true);
    expect(isHoldfastError(await failure(tftp), 'shutting_down')).toBe(true);
  });

  test('follows new settings while a block waits', async () => {
    const stream = throttle.open(source);
    expect(stream.pace(400_000)).toBe(undefined);
    let granted = false;
    const waiting = Promise.resolve(stream.pace(100_000)).then(() => {
      granted = true;
    });
    await clock.advance(100);
    expect(granted).toBe(false);
    throttle.configure({ ...settings, budgetMbps: 80_000 });
    expect(stream.blockBytes).toBe(524_288);
    await clock.advance(300);
    await waiting;
    expect(granted).toBe(true);
  });

  test('by real time and sockets delivers the very bytes', async () => {
    const content = randomBytes(1_500_000);
    using real = new Throttle<Meta>({ settings: { ...settings, budgetMbps: 160 } });
    await using connection = await openLoopback();
    const received = collect(connection.far);
    using stream = real.open({ ...source, size: content.byteLength });
    await sendRange({
      readInto: async (buffer, position) => content.copy(buffer, 0, position),
      range: { start: 0, end: content.byteLength },
      to: connection.near,
      pace: (bytes) => stream.pace(bytes),
      blockBytes: () => stream.blockBytes,
      onBytes: (bytes) => stream.sent(bytes),
      signal: stream.signal,
    });
    connection.near.end();
    expect((await received).equals(content)).toBe(true);
    expect(real.list()[0]?.waitingMs).toBeGreaterThan(0);
    expect(real.totals().http.bytes).toBe(content.byteLength);
  });
});

describe('bytes that nobody follows', () => {
  test('go at once and count against the budget, until it is spent', () => {
    let taken = 0;
    while (throttle.tryTake(4096)) taken += 4096;
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(1_000_000 * 0.02 + 4096); // 2 % of a second at 8 Mbit/s, and one block
    expect(throttle.list()).toEqual([]);
  });

  test('do not overtake those who wait, and have to be followed under a limit per client', async () => {
    while (throttle.tryTake(4096));
    const stream = throttle.open(source);
    const waiting = Promise.resolve(stream.pace(4096));
    expect(throttle.tryTake(1)).toBe(false);
    stream.close('aborted');
    await expect(waiting).rejects.toSatisfy((error) => isHoldfastError(error, 'cancelled'));
    const limited = make({ settings: { ...settings, perClientMbps: 1 } });
    expect(limited.tryTake(1)).toBe(false);
    limited[Symbol.dispose]();
    expect(limited.tryTake(1)).toBe(false);
  });
});

describe('a transfer', () => {
  test('is one for all range requests of a client for a path, also one after the other', async () => {
    const first = throttle.open(source);
    const second = throttle.open({ ...source, meta: { actor: 'somebody else' } });
    expect(second.transferId).toBe(first.transferId);
    first.sent(1000);
    first.close('complete');
    second.sent(500);
    second.close('aborted');
    await clock.advance(4999);
    const third = throttle.open(source);
    expect(third.transferId).toBe(first.transferId);
    expect(throttle.list()).toMatchObject([
      { bytes: 1500, streams: 1, requests: 3, aborted: 1, meta: { actor: 'somebody' } },
    ]);
    expect(started.map(({ id }) => id)).toEqual([first.transferId]);
    expect(finished).toEqual([]);
  });

  test('is another one for another client, path or protocol', () => {
    const ids = [
      source,
      { ...source, client: '10.0.0.8' },
      { ...source, path: '/boot/other.iso' },
      { ...source, protocol: 'tftp' as const },
    ].map((each) => throttle.open(each).transferId);
    expect(new Set(ids).size).toBe(4);
    expect(throttle.totals()).toMatchObject({ http: { active: 3 }, tftp: { active: 1 } });
  });

  test('is finished at once when all its bytes were delivered, and reading them again is a new one', () => {
    const stream = throttle.open(source);
    stream.sent(1_000_000);
    expect(finished).toEqual([]);
    stream.close('complete');
    expect(finished).toMatchObject([{ outcome: 'complete', view: { id: stream.transferId, etaSeconds: 0 } }]);
    expect(throttle.list()).toEqual([]);
    const again = throttle.open(source);
    expect(again.transferId).not.toBe(stream.transferId);
    expect(throttle.list()).toMatchObject([{ bytes: 0, requests: 1 }]);
  });

  test('is left to its open streams when another one reads the delivered bytes again', () => {
    const stream = throttle.open(source);
    stream.sent(1_000_000);
    const again = throttle.open(source);
    expect(again.transferId).not.toBe(stream.transferId);
    stream.close('complete');
    again.close('complete');
    expect(finished.map(({ view }) => view.id)).toEqual([stream.transferId]);
  });

  test('is a new one when the size of the file has changed', () => {
    const old = throttle.open(source);
    old.sent(10);
    old.close('failed', new Error('The file has changed.'));
    const fresh = throttle.open({ ...source, size: 5 });
    expect(fresh.transferId).not.toBe(old.transferId);
    expect(finished).toMatchObject([{ outcome: 'failed', error: { message: 'The file has changed.' } }]);
  });

  test('without streams is finished when its lease ends, with the outcome of its last stream', async () => {
    const stream = throttle.open(source);
    stream.sent(10);
    stream.close('aborted');
    stream.close('complete');
    await clock.advance(4999);
    expect(finished).toEqual([]);
    await clock.advance(1);
    expect(finished).toMatchObject([{ outcome: 'aborted', view: { bytes: 10, streams: 0, aborted: 1 } }]);
    expect(throttle.list()).toEqual([]);
    expect(clock.timers).toBe(0);
  });

  test('without streams is finished early when there are too many of them, the oldest first', () => {
    throttle = make({ maxIdle: 2 });
    const ids = ['/a', '/b', '/c', '/d'].map((path) => {
      const stream = throttle.open({ ...source, path });
      stream.close('complete');
      return stream.transferId;
    });
    expect(finished.map(({ view }) => view.id)).toEqual(ids.slice(0, 2));
    expect(throttle.list().map(({ id }) => id)).toEqual(ids.slice(2));
  });

  test('of a file without bytes is finished when its stream closes', () => {
    throttle.open({ ...source, size: 0 }).close('complete');
    expect(finished).toMatchObject([{ outcome: 'complete', view: { bytes: 0, etaSeconds: 0 } }]);
  });

  test('of unknown size has no end to tell of and the lowest priority', () => {
    throttle.open({ ...source, size: null }).sent(5_000_000);
    expect(throttle.list()).toMatchObject([{ size: null, etaSeconds: null, priority: 1 }]);
  });

  test('tells of its progress when bytes move, at most four times a second', async () => {
    const stream = throttle.open(source);
    const sending = send(stream, 990_000);
    await clock.advance(1000);
    await sending;
    expect(progress.length).toBe(3);
    await clock.advance(10_000);
    expect(progress.length).toBe(3);
    stream.sent(1);
    expect(progress.length).toBe(4);
    expect(progress.at(-1)?.bytes).toBe(990_001);
  });
});

describe('ending', () => {
  test('a stream that closes while it waits is refused and leaves its place to others', async () => {
    const stream = throttle.open(source);
    const other = throttle.open({ ...source, path: '/other' });
    expect(stream.pace(100_000)).toBe(undefined);
    const waiting = failure(stream.pace(50_000));
    const next = other.pace(1000);
    await clock.advance(10);
    stream.close('aborted');
    expect(isHoldfastError(await waiting, 'cancelled')).toBe(true);
    expect(() => stream.pace(1)).toThrow('closed');
    await clock.advance(80);
    await next;
    expect(throttle.list().map(({ waitingMs }) => waitingMs)).toEqual([10, expect.closeTo(88, 0)]);
  });

  test('a transfer from outside aborts its streams, what waits of them, and nothing else', async () => {
    const streams = [throttle.open(source), throttle.open(source)] as const;
    const other = throttle.open({ ...source, path: '/other' });
    expect(streams[0].pace(100_000)).toBe(undefined);
    const { signal } = streams[0];
    const waiting = streams.map((stream) => failure(stream.pace(10)));
    expect(throttle.end(streams[0].transferId, 'stopped by an administrator')).toBe(true);
    expect(signal.aborted && isHoldfastError(signal.reason, 'cancelled')).toBe(true);
    expect(streams[1].signal.aborted).toBe(true);
    for (const error of await Promise.all(waiting)) {
      expect(isHoldfastError(error, 'cancelled') && error.message).toContain('stopped by an administrator');
    }
    expect(() => streams[0].pace(1)).toThrow('stopped by an administrator');
    expect(finished).toMatchObject([{ outcome: 'aborted', view: { id: streams[0].transferId, aborted: 2 } }]);
    for (const stream of streams) stream.close('aborted');
    expect(finished.length).toBe(1);
    expect(other.signal.aborted).toBe(false);
    expect(throttle.list().map(({ id }) => id)).toEqual([other.transferId]);
    expect(throttle.totals().http.active).toBe(1);
    expect(throttle.end(streams[0].transferId, 'again')).toBe(false);
  });

  test('a stream that goes out of scope is aborted', () => {
    {
      using stream = throttle.open(source);
      stream.sent(1);
    }
    expect(throttle.list()).toMatchObject([{ streams: 0, aborted: 1 }]);
  });

  test('the throttle ends all transfers, refuses new ones and leaves no timer', async () => {
    const stream = throttle.open(source);
    expect(stream.pace(100_000)).toBe(undefined);
    const waiting = failure(stream.pace(1));
    throttle.open({ ...source, path: '/idle' }).close('complete');
    throttle[Symbol.dispose]();
    expect(isHoldfastError(await waiting, 'shutting_down')).toBe(true);
    expect(isHoldfastError(stream.signal.reason, 'shutting_down')).toBe(true);
    expect(() => throttle.open(source)).toThrow('shutting down');
    expect(finished.length).toBe(2);
    expect(clock.timers).toBe(0);
  });
});

test.each([
  { budgetMbps: 0 },
  { budgetMbps: Number.NaN },
  { minTransferMbps: -1 },
  { perClientMbps: 0 },
  { perClientMbps: Infinity },
])('settings that are no rates are refused: %j', (wrong) => {
  const refused = { ...settings, ...wrong };
  expect(() => make({ settings: refused })).toThrow('Mbit/s');
  expect(() => throttle.configure(refused)).toThrow('Mbit/s');
});
