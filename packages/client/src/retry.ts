import { HoldfastError } from '@holdfast/contract/errors';
import { parseHttpDate } from '@holdfast/bytes/http-date';
import type { Endpoint } from '@holdfast/contract/endpoint';
import type { EndpointName } from '@holdfast/contract/endpoints';

/** How often and how long a call is tried again. Times in milliseconds. */
export interface RetryPolicy {
  /** Attempts in all, the first included. */
  attempts: number;
  /** The upper bound of the first pause; it doubles with every further one. */
  baseMs: number;
  /** The upper bound of any pause that the hub did not ask for. */
  capMs: number;
  /** No attempt begins later than this after the first one. */
  totalMs: number;
}

export const defaultRetryPolicy: RetryPolicy = { attempts: 6, baseMs: 250, capMs: 10_000, totalMs: 60_000 };

const retriedStatuses: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);

/** POSTs whose repetition leaves the hub as the first one did. */
const repeatablePosts: ReadonlySet<EndpointName> = new Set<EndpointName>([
  'testBackend',
  'completeUpload',
  'checkContents',
  'uploadBatch',
  'deleteHostFiles',
]);

/** True when a call may be sent again although the hub may have done it already (RFC 9110 §9.2.2). */
export function isRepeatable(name: EndpointName, { method }: Pick<Endpoint, 'method'>): boolean {
  return idempotentMethods.has(method) || repeatablePosts.has(name);
}

/** True for a status that says that the same call may succeed later. */
export function isRetriedStatus(status: number): boolean {
  return retriedStatuses.has(status);
}

/**
 * The pause before the attempt that follows `failures` failed ones: uniform in [0, min(cap, base × 2^(failures − 1))),
 * "full jitter", so that clients that failed together do not come back together.
 * @param random uniform in [0, 1)
 */
export function backoffMs(
  failures: number,
  { baseMs, capMs }: Pick<RetryPolicy, 'baseMs' | 'capMs'>,
  random: () => number = Math.random,
): number {
  return random() * Math.min(capMs, baseMs * 2 ** Math.max(0, failures - 1));
}

/** Milliseconds that a `Retry-After` asks for: seconds or a date (RFC 9110 §10.2.3). Undefined when it is neither. */
export function retryAfterMs(value: string | null, now: Date): number | undefined {
  if (value === null) return undefined;
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const date = parseHttpDate(text, now);
  return date === undefined ? undefined : Math.max(0, date.getTime() - now.getTime());
}

/** What became of an attempt that failed. */
export interface FailedAttempt {
  error: unknown;
  /** Whether another attempt has a meaning. */
  retry: boolean;
  /** What the hub asked to wait, in milliseconds. */
  afterMs?: number | undefined;
}

/** The pause before the next attempt, or undefined when it is time to give up. Times in milliseconds since the first attempt. */
export function nextPause(
  failures: number,
  elapsedMs: number,
  failed: FailedAttempt,
  policy: RetryPolicy,
  random?: () => number,
): number | undefined {
  if (!failed.retry || failures >= policy.attempts) return undefined;
  const jittered = backoffMs(failures, policy, random);
  const pause = failed.afterMs === undefined ? jittered : failed.afterMs + Math.min(jittered, policy.baseMs);
  return elapsedMs + pause > policy.totalMs ? undefined : pause;
}

/** Resolves after a time. @throws HoldfastError `cancelled` when the signal aborts */
export function pauseFor(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = (): void => {
      clearTimeout(timer);
      reject(cancelledBy(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', cancel);
      resolve();
    }, milliseconds);
    if (signal?.aborted === true) cancel();
    else signal?.addEventListener('abort', cancel, { once: true });
  });
}

/** The error of a call whose signal was aborted. */
export function cancelledBy(signal: AbortSignal | undefined): HoldfastError {
  return new HoldfastError('cancelled', 'The call was cancelled.', { cause: signal?.reason });
}
