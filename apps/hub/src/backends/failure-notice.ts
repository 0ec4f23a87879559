import { isHoldfastError } from '@holdfast/contract/errors';

type Notice = (error: unknown) => void;

/** Objects that are a part of a storage: what is asked of them is asked of it. */
const parts: ReadonlySet<PropertyKey> = new Set(['contents', 'staging']);

/**
 * The same storage, which tells of every operation that fails as if the storage were away (`backend_unavailable`,
 * `wrong_volume`), also while its bytes are read. The failure itself goes on to the caller.
 */
export function noticingFailures<T extends object>(storage: T, onFailure: () => void): T {
  return watched(storage, (error) => {
    if (isHoldfastError(error, 'backend_unavailable') || isHoldfastError(error, 'wrong_volume')) onFailure();
  });
}

/** By what is asked for, and not member by member: a storage has optional ones, and some that come and go. */
function watched<T extends object>(target: T, notice: Notice): T {
  // A part is the same object each time, as it is without the watching: callers tell by that whether a storage was replaced.
  const watchedParts = new WeakMap<object, object>();
  return new Proxy(target, {
    get(_, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (parts.has(key) && typeof value === 'object' && value !== null) {
        const part = watchedParts.get(value) ?? watched(value, notice);
        watchedParts.set(value, part);
        return part;
      }
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => watchedResult(Reflect.apply(value, target, args), notice);
    },
  });
}

function watchedResult(result: unknown, notice: Notice): unknown {
  if (result instanceof Promise) return watchedPromise(result, notice);
  return isAsyncIterable(result) ? watchedBytes(result, notice) : result;
}

async function watchedPromise(result: Promise<unknown>, notice: Notice): Promise<unknown> {
  try {
    const value = await result;
    return isRemoteFile(value) ? watched(value, notice) : value;
  } catch (error) {
    notice(error);
    throw error;
  }
}

async function* watchedBytes(source: AsyncIterable<unknown>, notice: Notice): AsyncGenerator {
  try {
    yield* source;
  } catch (error) {
    notice(error);
    throw error;
  }
}

/** An open file that is read over a network; one with a descriptor is read without going through its methods. */
function isRemoteFile(value: unknown): value is object {
  return typeof value === 'object' && value !== null && 'stream' in value && !('fd' in value);
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
