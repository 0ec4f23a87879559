import { z } from 'zod';
import type { Endpoint } from '@holdfast/contract/endpoint';
import { endpoints } from '@holdfast/contract/endpoints';
import type { EndpointName } from '@holdfast/contract/endpoints';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type {
  Answer,
  CallArguments,
  ItemOf,
  JsonEndpointName,
  ListEndpointName,
  LooseCallOptions,
} from './call-types.ts';
import { Caller } from './caller.ts';
import type { CallerOptions } from './caller.ts';
import { parsedJson } from './problem-answer.ts';
import { isRecord } from './record.ts';

/** A hub, as its API is. Every call throws HoldfastError: what the hub answered, `unreachable`, or `cancelled`. */
export interface HubClient {
  /** Base URL without a trailing slash. */
  readonly url: string;
  readonly apiKey: string | undefined;
  /** What every call carries: the credential, the user agent. */
  readonly headers: Readonly<Record<string, string>>;
  /** Calls an endpoint that answers JSON; resolves to the parsed answer, its envelope taken off. */
  call<N extends JsonEndpointName>(name: N, ...options: CallArguments<N>): Promise<Answer<N>>;
  /**
   * Calls any endpoint; resolves to its answer of one of the endpoint's success statuses (304 is one) as soon as its head is
   * there. The body is the caller's to read or to cancel.
   */
  raw<N extends EndpointName>(name: N, ...options: CallArguments<N>): Promise<Response>;
  /** All entries of a list, page by page as they are asked for. `query.limit` is the size of a page. */
  all<N extends ListEndpointName>(
    name: N,
    ...options: CallArguments<N>
  ): AsyncGenerator<ItemOf<N>, void, void>;
}

/**
 * A client of a hub, for Node and browsers.
 * @throws HoldfastError `invalid_request` when the URL is none of http or https
 */
export function createClient(options: CallerOptions): HubClient {
  const caller = new Caller(options);

  // What an endpoint answers is known to be of its type because its own schema has parsed it; the overloads tell the compiler.
  function call<N extends JsonEndpointName>(name: N, ...given: CallArguments<N>): Promise<Answer<N>>;
  async function call(name: JsonEndpointName, ...given: unknown[]): Promise<unknown> {
    return await parsedAnswer(caller, name, optionsOf(given));
  }
  function all<N extends ListEndpointName>(
    name: N,
    ...given: CallArguments<N>
  ): AsyncGenerator<ItemOf<N>, void, void>;
  async function* all(name: ListEndpointName, ...rest: unknown[]): AsyncGenerator<unknown, void, void> {
    const given = optionsOf(rest);
    let cursor: unknown;
    do {
      const query = cursor === undefined ? given.query : { ...given.query, cursor };
      const page = await parsedAnswer(caller, name, query === undefined ? given : { ...given, query });
      if (!isRecord(page)) return;
      for (const value of Object.values(page)) if (Array.isArray(value)) yield* value;
      cursor = page['next_cursor'];
    } while (cursor !== undefined);
  }
  return {
    url: caller.url,
    apiKey: caller.apiKey,
    headers: caller.headers,
    call,
    raw: async (name, ...given) => await caller.answer(name, optionsOf(given)),
    all,
  };
}

/** The options among the arguments of a call, which the compiler has checked where the call is written. */
function optionsOf([given]: readonly unknown[]): LooseCallOptions {
  return isOptions(given) ? given : {};
}

function isOptions(value: unknown): value is LooseCallOptions {
  return isRecord(value);
}

async function parsedAnswer(caller: Caller, name: EndpointName, given: LooseCallOptions): Promise<unknown> {
  const endpoint: Endpoint = endpoints[name];
  const text = await caller.text(name, given);
  const schema = endpoint.response;
  if (schema === undefined || 'raw' in schema)
    throw new TypeError(`${name} does not answer JSON; use raw().`);
  const parsed = schema.safeParse(parsedJson(text));
  if (!parsed.success) {
    throw new HoldfastError(
      'internal',
      `${caller.url} answered ${endpoint.method} ${endpoint.path} in a form that this version does not understand. Use a client and ` +
        'a hub of the same version.',
      { cause: parsed.error },
    );
  }
  return withoutEnvelope(parsed.data, isList(schema));
}

/** Whether answers are lists is asked of the schema: the last page of a list without a total looks like one thing. */
function isList(schema: z.ZodType): boolean {
  return schema instanceof z.ZodObject && ('total' in schema.shape || 'next_cursor' in schema.shape);
}

function withoutEnvelope(answer: unknown, isPage: boolean): unknown {
  if (!isRecord(answer) || answer['success'] !== true || !('data' in answer)) return answer;
  if (!isPage) return answer['data'];
  const { success: _, ...list } = answer;
  return list;
}

/** True for errors after which the same call may succeed: the hub or the way to it was not there. */
export function isPassing(error: unknown): error is HoldfastError {
  return isHoldfastError(error) && error.retryable && error.code !== 'storage_full';
}
