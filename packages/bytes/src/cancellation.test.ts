import { HoldfastError } from '@holdfast/contract/errors';
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { throwIfCancelled, unlessCancelled } from './cancellation.ts';

describe('throwIfCancelled', () => {
  it('passes a reason of ours on and makes any other one cancelled', () => {
    const stopping = new HoldfastError('shutting_down', 'The hub is about to stop.');
    expect(() => throwIfCancelled(AbortSignal.abort(stopping), 'It')).toThrow(stopping);
    expect(() => throwIfCancelled(AbortSignal.abort('x'), 'It')).toThrow('It was cancelled.');
    expect(() => throwIfCancelled(new AbortController().signal, 'It')).not.toThrow();
    expect(() => throwIfCancelled(undefined, 'It')).not.toThrow();
  });
});

describe('unlessCancelled', () => {
  it('gives what the step gives, with a signal and without, and leaves nothing on the signal', async () => {
    const { signal } = new AbortController();
    expect(await unlessCancelled(undefined, 'It', async () => 1)).toBe(1);
    expect(await unlessCancelled(signal, 'It', async () => 2)).toBe(2);
    const failure = new Error('its own');
    await expect(unlessCancelled(signal, 'It', () => Promise.reject(failure))).rejects.toBe(failure);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('does not begin a step when it is cancelled before', async () => {
    let begun = false;
    const step = async (): Promise<void> => {
      begun = true;
    };
    await expect(unlessCancelled(AbortSignal.abort(), 'It', step)).rejects.toMatchObject({
      code: 'cancelled',
    });
    expect(begun).toBe(false);
  });

  it('lets go of a step that hangs, and hands over what it gives too late', async () => {
    const controller = new AbortController();
    const step = Promise.withResolvers<string>();
    const late = Promise.withResolvers<string>();
    const waiting = unlessCancelled(
      controller.signal,
      'It',
      () => step.promise,
      async (value) => late.resolve(value),
    );
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    step.resolve('an open file');
    expect(await late.promise).toBe('an open file');
  });

  it('does not hear a step that fails after it was let go', async () => {
    const controller = new AbortController();
    const step = Promise.withResolvers<never>();
    const waiting = unlessCancelled(controller.signal, 'It', () => step.promise);
    controller.abort(new HoldfastError('shutting_down', 'The hub is about to stop.'));
    await expect(waiting).rejects.toMatchObject({ code: 'shutting_down' });
    step.reject(new Error('too late'));
    await expect(step.promise).rejects.toThrow('too late');
  });
});
