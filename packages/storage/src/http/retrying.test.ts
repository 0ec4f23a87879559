import { HoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { refusal } from '../conformance/subject.ts';
import { pauseBefore, retrying } from './retrying.ts';

const passing = (): HoldfastError =>
  new HoldfastError('backend_unavailable', 'The server does not answer now.');

describe('the pause before an attempt', () => {
  it('doubles up to two seconds, and is at least half of that', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (attempt, chance) => {
          const full = Math.min(2000, 100 * 2 ** (attempt - 1));
          const pause = pauseBefore(attempt, chance);
          expect(pause).toBeGreaterThanOrEqual(full / 2);
          expect(pause).toBeLessThanOrEqual(full);
        },
      ),
    );
  });
});

describe('retrying', () => {
  it('gives up after the last attempt, with its error', async () => {
    let attempts = 0;
    const failing = retrying({ withinMs: 60_000, attempts: 3, doing: 'Testing' }, async () => {
      attempts += 1;
      throw passing();
    });
    await refusal(failing, 'backend_unavailable');
    expect(attempts).toBe(3);
  });

  it('does not repeat what cannot go better, nor start anew when the time is over', async () => {
    let attempts = 0;
    const action = (error: HoldfastError) => async (): Promise<never> => {
      attempts += 1;
      throw error;
    };
    const lasting = new HoldfastError('backend_unavailable', 'The credentials are wrong.', {
      retryable: false,
    });
    await refusal(
      retrying({ withinMs: 60_000, attempts: 9, doing: 'Testing' }, action(lasting)),
      'backend_unavailable',
    );
    await refusal(
      retrying({ withinMs: 0, attempts: 9, doing: 'Testing' }, action(passing())),
      'backend_unavailable',
    );
    expect(attempts).toBe(2);
  });

  it('ends at once when it is cancelled while it waits', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = retrying({ withinMs: 60_000, attempts: 9, doing: 'Testing', signal }, async () => {
      queueMicrotask(() => controller.abort());
      throw passing();
    });
    await refusal(waiting, 'cancelled');
  });
});
