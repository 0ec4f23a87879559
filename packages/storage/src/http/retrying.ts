import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { isHoldfastError } from '@holdfast/contract/errors';

const firstPauseMs = 100;
const longestPauseMs = 2000;

/**
 * The pause before an attempt, in milliseconds: doubling, at most 2 s, with up to half of it left to chance so that many
 * do not come back at once ("equal jitter", AWS Architecture Blog, Exponential Backoff And Jitter, 2015).
 * @param attempt 1 for the first repetition
 * @param chance from 0 to 1
 */
export function pauseBefore(attempt: number, chance = Math.random()): number {
  const full = Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1));
  return full / 2 + (full / 2) * chance;
}

/** Waits; ends at once, without an error, when the signal fires. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal?.aborted === true) resolve();
  const timer = setTimeout(resolve, ms);
  const stop = (): void => resolve();
  signal?.addEventListener('abort', stop, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  });
}

/** Whether the same request can go well when it is sent again. */
export function isPassing(error: unknown): boolean {
  return isHoldfastError(error, 'backend_unavailable') && error.retryable;
}

export interface RetryOptions {
  /** Milliseconds after which no further attempt starts. */
  withinMs: number;
  /** How many attempts at most. */
  attempts: number;
  doing: string;
  signal?: AbortSignal | undefined;
}

/** Runs an action that may be repeated until it goes well, fails for good, or attempts or time are used up. */
export async function retrying<T>(
  options: RetryOptions,
  action: (attempt: number) => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + options.withinMs;
  for (let attempt = 1; ; attempt += 1) {
    throwIfCancelled(options.signal, options.doing);
    try {
      return await action(attempt);
    } catch (error) {
      const wait = pauseBefore(attempt);
      if (!isPassing(error) || attempt >= options.attempts || performance.now() + wait >= deadline)
        throw error;
      await pause(wait, options.signal);
    }
  }
}
