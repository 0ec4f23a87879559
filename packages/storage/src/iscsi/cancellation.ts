import { HoldfastError } from '@holdfast/contract/errors';

/** The error for a signal that has fired; a HoldfastError that was given as its reason is passed on. */
export function cancellationOf(signal: AbortSignal | undefined, doing: string): HoldfastError {
  const reason: unknown = signal?.reason;
  if (reason instanceof HoldfastError) return reason;
  return new HoldfastError('cancelled', `${doing} was cancelled.`, { cause: reason });
}

/** Waits for something as long as it is not cancelled; what goes on after that is left alone. */
export async function unlessCancelled<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  doing: string,
  onCancel?: () => void,
): Promise<T> {
  if (signal === undefined) return promise;
  const cancelled = Promise.withResolvers<never>();
  const onAbort = (): void => {
    promise.catch(() => undefined);
    onCancel?.();
    cancelled.reject(cancellationOf(signal, doing));
  };
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, cancelled.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
