import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ServerWatch } from './server-watch.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A server whose answers the test decides on. */
function watched(): {
  watch: ServerWatch;
  server: { ask: () => Promise<void>; answers: number | undefined; asked: number };
} {
  const server: ReturnType<typeof watched>['server'] = { ask: async () => {}, answers: 7, asked: 0 };
  const watch = new ServerWatch({
    ask: () => {
      server.asked += 1;
      return server.ask();
    },
    answers: () => server.answers,
    source: 'nas:/srv/share',
    timeLimitMs: 20_000,
  });
  return { watch, server };
}

async function lossWithin(watch: ServerWatch, milliseconds: number): Promise<string | undefined> {
  let loss: string | undefined;
  void watch.lost.then((error) => {
    loss = error.message;
  });
  await vi.advanceTimersByTimeAsync(milliseconds);
  return loss;
}

const never = (): Promise<void> => new Promise(() => {});

describe('a server', () => {
  it.each([
    ['answers', async () => {}],
    ['is given up by the kernel', () => Promise.reject(new Error('EIO'))],
  ])('that %s is asked again and again, and not lost', async (_name, ask) => {
    const { watch, server } = watched();
    server.ask = ask;
    expect(await lossWithin(watch, 100_000)).toBeUndefined();
    expect(server.asked).toBe(20);
    watch[Symbol.dispose]();
  });

  it.each([7, undefined])(
    'that answers nothing at all is lost when the time is over (%s answers so far)',
    async (answers) => {
      const { watch, server } = watched();
      server.answers = answers;
      server.ask = never;
      expect(await lossWithin(watch, 24_000)).toBeUndefined();
      expect(await lossWithin(watch, 6000)).toContain('nas:/srv/share has not answered for 20 s');
      expect(server.asked).toBe(1);
    },
  );

  it('that takes long for one question and answers others is not lost', async () => {
    const { watch, server } = watched();
    server.ask = never;
    for (let second = 0; second < 100; second += 10) {
      server.answers = 8 + second;
      expect(await lossWithin(watch, 10_000)).toBeUndefined();
    }
    expect(server.asked).toBe(1);
    expect(await lossWithin(watch, 30_000)).toContain('has not answered');
  });

  it('is not asked any more once the watch is disposed', async () => {
    const { watch, server } = watched();
    watch[Symbol.dispose]();
    server.ask = never;
    expect(await lossWithin(watch, 60_000)).toBeUndefined();
    expect(server.asked).toBe(0);
  });
});
