import { HoldfastError } from '@holdfast/contract/errors';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ReservedByAnother } from '../initiator/sense.ts';
import { SessionWatch } from './session-watch.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A session whose state and reservation the test decides on. */
function watched(): {
  watch: SessionWatch;
  session: { state: string | undefined; fence: () => Promise<void>; kept: number };
} {
  const session = {
    state: 'LOGGED_IN' as string | undefined,
    fence: async (): Promise<void> => {},
    kept: 0,
  };
  const watch = new SessionWatch({
    state: async () => session.state,
    keepFence: () => {
      session.kept += 1;
      return session.fence();
    },
    target: 'iqn.2026-01.test:disk',
    stallMs: 20_000,
    intervalMs: 5000,
  });
  return { watch, session };
}

async function lossWithin(watch: SessionWatch, milliseconds: number): Promise<HoldfastError | undefined> {
  let loss: HoldfastError | undefined;
  void watch.lost.then((error) => {
    loss = error;
  });
  await vi.advanceTimersByTimeAsync(milliseconds);
  return loss;
}

describe('a session of the kernel', () => {
  it('that is sound has its reservation looked after, and is not lost', async () => {
    const { watch, session } = watched();
    expect(await lossWithin(watch, 100_000)).toBeUndefined();
    expect(session.kept).toBe(20);
    watch[Symbol.dispose]();
  });

  it.each(['FAILED', undefined])(
    'that is %s is waited for, and given up when it has taken too long',
    async (state) => {
      const { watch, session } = watched();
      session.state = state;
      expect(await lossWithin(watch, 19_000)).toBeUndefined();
      session.state = 'LOGGED_IN';
      expect(await lossWithin(watch, 5000)).toBeUndefined();
      session.state = state;
      expect(await lossWithin(watch, 15_000)).toBeUndefined();
      const loss = await lossWithin(watch, 10_000);
      expect(loss?.message).toContain('iqn.2026-01.test:disk for 20 s');
      expect(watch.isLost).toBe(true);
      const { kept } = session;
      await vi.advanceTimersByTimeAsync(60_000);
      expect(session.kept).toBe(kept);
    },
  );

  it('whose LUN somebody else has reserved is given up at once', async () => {
    const { watch, session } = watched();
    const reason = new ReservedByAnother('Reserving the LUN');
    session.fence = () => Promise.reject(reason);
    expect(await lossWithin(watch, 5000)).toBe(reason);
  });

  it('that goes away while the reservation is looked after is not lost by that, and asked once only', async () => {
    const { watch, session } = watched();
    session.fence = () => new Promise(() => {});
    expect(await lossWithin(watch, 60_000)).toBeUndefined();
    expect(session.kept).toBe(1);
    watch[Symbol.dispose]();
    const failing = watched();
    failing.session.fence = () => Promise.reject(new HoldfastError('backend_unavailable', 'It was ended.'));
    expect(await lossWithin(failing.watch, 60_000)).toBeUndefined();
    failing.watch[Symbol.dispose]();
  });

  it('is not followed any more once the watch is disposed', async () => {
    const { watch, session } = watched();
    watch[Symbol.dispose]();
    session.state = undefined;
    expect(await lossWithin(watch, 60_000)).toBeUndefined();
    expect(session.kept).toBe(0);
  });
});
