import { HoldfastError } from '@holdfast/contract/errors';
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { SourceReader } from './source-reader.ts';

async function* source(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

/** A source that tells whether it was asked to clean up. */
class WatchedSource implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  readonly #next: () => Promise<IteratorResult<Uint8Array>>;
  wasClosed = false;

  constructor(next: () => Promise<IteratorResult<Uint8Array>>) {
    this.#next = next;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    return this.#next();
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.wasClosed = true;
    return { done: true, value: undefined };
  }
}

const chunk = { done: false, value: Buffer.from('a') } as const;

describe('a source reader', () => {
  it('gives the chunks in order, and undefined at the end and after it', async () => {
    await using reader = new SourceReader(source('a', '', 'b'), undefined, 'Writing /a');
    const taken: (string | undefined)[] = [];
    for (let count = 0; count < 5; count += 1) taken.push((await reader.next())?.toString());
    expect(taken).toEqual(['a', '', 'b', undefined, undefined]);
  });

  it('asks for nothing before it is asked', async () => {
    let asked = 0;
    const watched = new WatchedSource(async () => {
      asked += 1;
      return chunk;
    });
    await using reader = new SourceReader(watched, undefined, 'Writing /a');
    expect(asked).toBe(0);
    await reader.next();
    expect(asked).toBe(1);
  });

  it('passes the error of the source on as it is, and has it clean up no more', async () => {
    const failure = new Error('connection reset');
    const watched = new WatchedSource(() => Promise.reject(failure));
    const reader = new SourceReader(watched, undefined, 'Writing /a');
    await expect(reader.next()).rejects.toBe(failure);
    await reader[Symbol.asyncDispose]();
    expect(watched.wasClosed).toBe(false);
  });

  it('lets a source that was left early clean up, and one that has ended not', async () => {
    const early = new WatchedSource(async () => chunk);
    const left = new SourceReader(early, undefined, 'Writing /a');
    await left.next();
    await left[Symbol.asyncDispose]();
    expect(early.wasClosed).toBe(true);
    const ended = new WatchedSource(async () => ({ done: true, value: undefined }));
    const finished = new SourceReader(ended, undefined, 'Writing /a');
    expect(await finished.next()).toBeUndefined();
    await finished[Symbol.asyncDispose]();
    expect(ended.wasClosed).toBe(false);
  });

  it('keeps to itself that a source fails in cleaning up', async () => {
    const failing: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: async () => chunk,
        return: () => Promise.reject(new Error('cannot clean up')),
      }),
    };
    const reader = new SourceReader(failing, undefined, 'Writing /a');
    await reader.next();
    await expect(reader[Symbol.asyncDispose]()).resolves.toBeUndefined();
  });
});

describe('a cancelled source reader', () => {
  it('lets go of a source that hangs, and does not wait for it to clean up', async () => {
    const controller = new AbortController();
    const asked = Promise.withResolvers<void>();
    async function* stuck(): AsyncGenerator<Uint8Array> {
      asked.resolve();
      await new Promise(() => {});
      yield Buffer.from('never');
    }
    const reader = new SourceReader(stuck(), controller.signal, 'Writing /a');
    const next = reader.next();
    await asked.promise;
    controller.abort();
    await expect(next).rejects.toMatchObject({ code: 'cancelled', message: 'Writing /a was cancelled.' });
    await reader[Symbol.asyncDispose]();
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });

  it('takes nothing more, and gives the reason of ours', async () => {
    const stopping = new HoldfastError('shutting_down', 'The hub is about to stop.');
    const controller = new AbortController();
    const watched = new WatchedSource(async () => chunk);
    await using reader = new SourceReader(watched, controller.signal, 'Writing /a');
    await reader.next();
    controller.abort(stopping);
    await expect(reader.next()).rejects.toBe(stopping);
  });

  it('lets go of another step too', async () => {
    const controller = new AbortController();
    await using reader = new SourceReader(source('a'), controller.signal, 'Writing /a');
    expect(await reader.during(Promise.resolve('stored'))).toBe('stored');
    const storing = reader.during(new Promise(() => {}));
    controller.abort();
    await expect(storing).rejects.toMatchObject({ code: 'cancelled' });
  });
});
