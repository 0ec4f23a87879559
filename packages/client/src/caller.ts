import type { Endpoint } from '@holdfast/contract/endpoint';
import { endpoints } from '@holdfast/contract/endpoints';
import type { EndpointName } from '@holdfast/contract/endpoints';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { LooseCallOptions } from './call-types.ts';
import { errorOfAnswer, unreachable } from './problem-answer.ts';
import { requestBody } from './request-body.ts';
import { requestTarget } from './request-target.ts';
import {
  cancelledBy,
  defaultRetryPolicy,
  isRepeatable,
  isRetriedStatus,
  nextPause,
  pauseFor,
  retryAfterMs,
} from './retry.ts';
import type { FailedAttempt, RetryPolicy } from './retry.ts';

export interface CallerOptions {
  /** Where the hub is, e.g. `https://hub.example`; a path before the API is kept. */
  url: string;
  /** Without one the calls are anonymous, or carry the cookie that a browser has. */
  apiKey?: string | undefined;
  /** Default: the global one. */
  fetch?: typeof fetch;
  /** How failed calls are tried again; false: never. */
  retry?: Partial<RetryPolicy> | false;
  /** Ends every call. */
  signal?: AbortSignal | undefined;
  /** Browsers keep their own. */
  userAgent?: string;
  /** Milliseconds that one attempt may take until its answer begins. Default 120,000. */
  attemptTimeoutMs?: number;
}

/** Calls endpoints by name: one attempt after the other, until one is answered. */
export class Caller {
  readonly url: string;
  readonly apiKey: string | undefined;
  /** What every call carries. */
  readonly headers: Readonly<Record<string, string>>;
  readonly #fetch: typeof fetch;
  readonly #policy: RetryPolicy;
  readonly #signal: AbortSignal | undefined;
  readonly #attemptTimeoutMs: number;

  constructor(options: CallerOptions) {
    this.url = baseUrl(options.url);
    this.apiKey = options.apiKey;
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.#policy =
      options.retry === false
        ? { ...defaultRetryPolicy, attempts: 1 }
        : { ...defaultRetryPolicy, ...options.retry };
    this.#signal = options.signal;
    this.#attemptTimeoutMs = options.attemptTimeoutMs ?? 120_000;
    this.headers = {
      ...(options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }),
      ...(options.userAgent === undefined ? {} : { 'user-agent': options.userAgent }),
    };
  }

  /** The successful answer of an endpoint. Its body is not read. */
  async answer(name: EndpointName, given: LooseCallOptions = {}): Promise<Response> {
    return await this.#tryOn(name, given, async (response) => response);
  }

  /** The body of a successful answer; a body that breaks off is asked for again. */
  async text(name: EndpointName, given: LooseCallOptions = {}): Promise<string> {
    return await this.#tryOn(name, given, async (response) => await response.text());
  }

  async #tryOn<T>(
    name: EndpointName,
    given: LooseCallOptions,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const endpoint: Endpoint = endpoints[name];
    const policy = given.retry === false ? { ...this.#policy, attempts: 1 } : this.#policy;
    const signal = eitherOf(this.#signal, given.signal);
    const target = this.url + requestTarget(endpoint, given.params, given.query);
    const body = requestBody(endpoint, given.body);
    const startedAt = performance.now();
    for (let failures = 1; ; failures += 1) {
      if (signal?.aborted === true) throw cancelledBy(signal);
      const outcome = await this.#attempt(target, { endpoint, given, signal, body }, read);
      if ('value' in outcome) return outcome.value;
      const mayRepeat = body.isRepeatable && (isRepeatable(name, endpoint) || isRefusedUndone(outcome.error));
      const failed = { ...outcome, retry: outcome.retry && mayRepeat };
      const pause = nextPause(failures, performance.now() - startedAt, failed, policy);
      if (pause === undefined) throw outcome.error;
      await pauseFor(pause, signal);
    }
  }

  async #attempt<T>(
    target: string,
    call: {
      endpoint: Endpoint;
      given: LooseCallOptions;
      signal: AbortSignal | undefined;
      body: ReturnType<typeof requestBody>;
    },
    read: (response: Response) => Promise<T>,
  ): Promise<{ value: T } | FailedAttempt> {
    const { endpoint, given, signal, body } = call;
    // The time is for the head of the answer: a body may take as long as it is large.
    const patience = new AbortController();
    const milliseconds = given.attemptTimeoutMs ?? this.#attemptTimeoutMs;
    const timer = setTimeout(() => {
      patience.abort(new Error(`no answer within ${Math.round(milliseconds / 1000)} s`));
    }, milliseconds);
    try {
      const init = await body.init();
      const response = await this.#fetch(target, {
        method: endpoint.method,
        redirect: 'error',
        ...init,
        headers: { ...this.headers, ...body.headers, ...given.headers },
        signal: eitherOf(signal, patience.signal) ?? null,
      });
      clearTimeout(timer);
      if (endpoint.status.includes(response.status)) return { value: await read(response) };
      const afterMs = retryAfterMs(response.headers.get('retry-after'), new Date());
      return {
        error: await errorOfAnswer(response, this.url),
        retry: isRetriedStatus(response.status),
        afterMs,
      };
    } catch (error) {
      if (signal?.aborted === true) return { error: cancelledBy(signal), retry: false };
      if (isHoldfastError(error)) return { error, retry: false };
      const cause: unknown = patience.signal.aborted ? patience.signal.reason : error;
      return { error: unreachable(this.url, cause), retry: true };
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The hub says so before it does anything, so that even a call that is not idempotent may come again. */
function isRefusedUndone(error: unknown): boolean {
  return isHoldfastError(error, 'too_many_requests') || isHoldfastError(error, 'shutting_down');
}

function eitherOf(first?: AbortSignal, second?: AbortSignal): AbortSignal | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return AbortSignal.any([first, second]);
}

function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.search === '' && url.hash === '' && url.username === '' && url.password === '';
  if (url === undefined || !isPlain || !/^https?:$/.test(url.protocol)) {
    throw new HoldfastError(
      'invalid_request',
      `"${text}" is not the URL of a hub. Give one like https://hub.example or http://127.0.0.1:8080.`,
    );
  }
  return url.href.replace(/\/+$/, '');
}
