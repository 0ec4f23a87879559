import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError } from '@holdfast/contract/errors';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chunksOf, sampleBytes } from '../../conformance/sample-bytes.ts';
import { refusal } from '../../conformance/subject.ts';
import { makeScratchRoot } from '../../local/testing/scratch-root.ts';
import type { ScratchRoot } from '../../local/testing/scratch-root.ts';
import { FileHandlers } from '../stack/file-handlers.ts';
import { Answerer } from './answerer.ts';
import { Caller } from './caller.ts';
import { remoteWrite } from './remote-write.ts';

const MIB = 1024 * 1024;
const p = parseBackendPath;

/** Two ends of one connection. */
async function socketPair(): Promise<[near: Socket, far: Socket]> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no port.');
  const near = connect(address.port, '127.0.0.1');
  const accepted = new Promise<Socket>((resolve) => {
    server.once('connection', resolve);
  });
  const far = await accepted;
  server.close();
  return [near, far];
}

let scratch: ScratchRoot;
let caller: Caller;
let answerer: Answerer;
let far: Socket;
let volume: { volumeId: string; ownerId: string };
beforeEach(async () => {
  scratch = await makeScratchRoot();
  volume = { volumeId: scratch.volumeId, ownerId: 'hub-1' };
  const [near, other] = await socketPair();
  far = other;
  const files = new FileHandlers(() => scratch.root);
  answerer = new Answerer(far, { ...files.handlers, start: async () => null });
  caller = new Caller(near, 10_000);
});
afterEach(async () => {
  caller.close(new HoldfastError('shutting_down', 'The test has ended.'));
  await answerer.closed;
  await scratch[Symbol.asyncDispose]();
});

function write(
  source: AsyncIterable<Uint8Array>,
  options: Parameters<typeof remoteWrite>[3] = {},
): Promise<unknown> {
  return remoteWrite(caller, { ...volume, path: p('/file') }, source, options);
}

describe('a call', () => {
  it('brings its result, or its error with code and fields', async () => {
    await scratch.backend.makeFolder(p('/folder'));
    expect(await caller.call('countChildren', { ...volume, path: p('/') }, { label: 'Counting' })).toBe(1);
    const error = await refusal(
      caller.call('stat', { ...volume, path: p('/none') }, { label: 'Looking' }),
      'file_not_found',
    );
    expect(error.message).toContain('/none');
  });

  it('that nobody answers any more fails with the reason', async () => {
    const { promise: stuck } = Promise.withResolvers<never>();
    const files = new FileHandlers(() => scratch.root);
    const [near, other] = await socketPair();
    const lonely = new Answerer(other, { ...files.handlers, start: async () => null, usage: () => stuck });
    const own = new Caller(near, 10_000);
    const call = own.call('usage', volume, { label: 'Asking' });
    lonely.lose(new HoldfastError('backend_unavailable', 'The LUN is lost for the test.'));
    expect((await refusal(call, 'backend_unavailable')).message).toBe('The LUN is lost for the test.');
    expect((await own.closed).message).toBe('The LUN is lost for the test.');
    await refusal(own.call('usage', volume, { label: 'Asking' }), 'backend_unavailable');
  });

  it('on a channel that breaks fails, and says that the process has ended', async () => {
    const call = caller.call('usage', volume, { label: 'Asking' });
    far.destroy();
    const outcome = await call.catch((error: unknown) => error);
    // The answer may have been faster than the end.
    if (outcome instanceof Error) expect(outcome.message).toContain('has ended');
    await refusal(caller.call('usage', volume, { label: 'Asking' }), 'backend_unavailable');
  });

  it('to a process that is stuck fails after the time limit, and one that never began after four times as long', async () => {
    const [near, other] = await socketPair();
    const own = new Caller(near, 100);
    const error = await refusal(own.call('usage', volume, { label: 'Asking' }), 'backend_unavailable');
    expect(error.message).toContain('has not answered for 0.4 s');
    other.destroy();

    const [nearer, stuck] = await socketPair();
    const files = new FileHandlers(() => scratch.root);
    const lively = new Answerer(stuck, { ...files.handlers, start: async () => null });
    const known = new Caller(nearer, 100);
    await known.call('usage', volume, { label: 'Asking' });
    stuck.pause();
    const later = await refusal(known.call('usage', volume, { label: 'Asking' }), 'backend_unavailable');
    expect(later.message).toContain('has not answered for 0.1 s');
    stuck.resume();
    await lively.closed;
  });

  it('that is cancelled is given up at once', async () => {
    const controller = new AbortController();
    const call = caller.call('usage', volume, { label: 'Asking', signal: controller.signal });
    controller.abort();
    await refusal(call, 'cancelled');
    expect(await caller.call('usage', volume, { label: 'Asking' })).toHaveProperty('totalBytes');
  });

  it('of garbage ends the channel', async () => {
    far.write(Buffer.alloc(100, 0xff));
    expect((await caller.closed).code).toBe('internal');
  });
});

describe('a write', () => {
  it('is never further ahead than the other side takes', async () => {
    let taken = 0;
    let mostAhead = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      for (let count = 0; count < 64; count += 1) {
        const [staged] = await scratch.staged();
        const done = staged === undefined ? 0 : far.bytesRead;
        mostAhead = Math.max(mostAhead, taken - done);
        yield sampleBytes(MIB / 2, count + 1);
        taken += MIB / 2;
      }
    }
    await write(source());
    // Four MiB of credit, and one chunk beyond.
    expect(mostAhead).toBeLessThanOrEqual(5 * MIB);
  });

  it('that is refused at once leaves its source untouched', async () => {
    let wasAsked = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      wasAsked = true;
      yield sampleBytes(10);
    }
    await scratch.backend.makeFolder(p('/file'));
    await refusal(write(source()), 'is_a_directory');
    expect(wasAsked).toBe(false);
  });

  it('whose other side is lost closes its source', async () => {
    let wasClosed = false;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (let count = 0; ; count += 1) {
          if (count === 4) far.destroy();
          yield sampleBytes(MIB);
        }
      } finally {
        wasClosed = true;
      }
    }
    await refusal(write(source()), 'backend_unavailable');
    expect(wasClosed).toBe(true);
  });

  it('passes the error of its precondition on as it is', async () => {
    const refused = new HoldfastError('precondition_failed', 'Not this one, says the test.');
    const precondition = (): never => {
      throw refused;
    };
    await expect(write(chunksOf(sampleBytes(10)), { precondition })).rejects.toBe(refused);
    expect(await scratch.staged()).toEqual([]);
  });
});
