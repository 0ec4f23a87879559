import { HoldfastError } from '@holdfast/contract/errors';

/** The error for a signal that has fired; a HoldfastError that was given as its reason is passed on. */
export function cancellationOf(signal: AbortSignal | undefined, doing: string): HoldfastError {
  const reason: unknown = signal?.reason;
  if (reason instanceof HoldfastError) return reason;
  return new HoldfastError('cancelled', `${doing} was cancelled.`, { cause: reason });
}

/** Throws `cancelled` when the signal has fired; a HoldfastError that was given as its reason is passed on. */
export function throwIfCancelled(signal: AbortSignal | undefined, doing: string): void {
  if (signal?.aborted === true) throw cancellationOf(signal, doing);
}

/**
 * Waits for a step, but not longer than until the signal fires: a server that does not answer must not hold a caller
 * who has gone. The step itself goes on; its result is handed to `leftOver`.
 * @throws HoldfastError `cancelled`, or the signal's own reason
 */
export async function unlessCancelled<T>(
  signal: AbortSignal | undefined,
  doing: string,
  step: () => Promise<T>,
  leftOver?: (late: T) => Promise<void>,
): Promise<T> {
  if (signal === undefined) return step();
  throwIfCancelled(signal, doing);
  const { promise: cancelled, resolve } = Promise.withResolvers<undefined>();
  const onAbort = (): void => resolve(undefined);
  signal.addEventListener('abort', onAbort, { once: true });
  const running = step().then((value) => ({ value }));
  try {
    const outcome = await Promise.race([running, cancelled]);
    if (outcome !== undefined) return outcome.value;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
  // The caller is told that it was cancelled; what comes of it later is nobody's any more.
  running.then(({ value }) => leftOver?.(value)).catch(() => undefined);
  throw cancellationOf(signal, doing);
}
