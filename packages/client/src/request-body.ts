import type { Endpoint } from '@holdfast/contract/endpoint';
import type { RequestBody } from './call-types.ts';

/** The body of a call, made anew for every attempt. */
export interface PreparedBody {
  headers: Record<string, string>;
  /** False for a stream that was given as it is: it can be read only once. */
  isRepeatable: boolean;
  init(): Promise<{ body?: RequestBody; duplex?: 'half' }>;
}

/** What `fetch` is given for the body of an endpoint: JSON, or bytes as they are. */
export function requestBody(endpoint: Pick<Endpoint, 'body' | 'path'>, body: unknown): PreparedBody {
  const spec = endpoint.body;
  if (body === undefined || spec === undefined)
    return { headers: {}, isRepeatable: true, init: async () => ({}) };
  if (!('raw' in spec)) {
    const json = JSON.stringify(body);
    return {
      headers: { 'content-type': 'application/json' },
      isRepeatable: true,
      init: async () => ({ body: json }),
    };
  }
  // A form names its own boundary.
  const type = body instanceof FormData ? undefined : spec.contentTypes[0];
  return {
    headers: type === undefined ? {} : { 'content-type': type },
    isRepeatable: !(body instanceof ReadableStream),
    init: async () => {
      const made: unknown = isMaker(body) ? await body() : body;
      if (!isRequestBody(made))
        throw new TypeError(`${endpoint.path} needs bytes as its body, or a function that makes them.`);
      return made instanceof ReadableStream ? { body: made, duplex: 'half' } : { body: made };
    },
  };
}

function isMaker(value: unknown): value is () => unknown {
  return typeof value === 'function';
}

function isRequestBody(value: unknown): value is RequestBody {
  return (
    typeof value === 'string' ||
    value instanceof Blob ||
    value instanceof FormData ||
    value instanceof ArrayBuffer ||
    value instanceof Uint8Array ||
    value instanceof ReadableStream
  );
}
