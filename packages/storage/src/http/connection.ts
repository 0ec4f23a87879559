import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import { Agent } from 'undici';
import type { Dispatcher } from 'undici';
import type { HttpTarget } from './config.ts';
import { exchangeError, statusError } from './failure.ts';
import { ProgressWatch } from './progress-watch.ts';
import { HttpReply } from './reply.ts';
import { retrying } from './retrying.ts';
import type { UploadBody } from './upload-body.ts';

const maxRedirects = 5;
const metadataAttempts = 4;
/** Methods that may follow a redirect: they change nothing. */
const followingMethods = new Set(['GET', 'HEAD', 'PROPFIND', 'OPTIONS']);

export interface HttpRequest {
  method: Dispatcher.HttpMethod | 'PROPFIND' | 'MKCOL' | 'COPY' | 'MOVE';
  url: URL;
  headers?: Record<string, string>;
  /** A small text, or bytes on their way. */
  body?: string | UploadBody;
  signal?: AbortSignal | undefined;
  /** What is tried, as a gerund, for errors: `Reading /isos/a.iso`. */
  doing: string;
  /** A redirect to the same address with a slash at its end (this is a folder) is the answer, and is not followed. */
  stopAtSlash?: boolean;
}

/** The way to one web server: pooled connections, credentials, redirects, time limits. Connects when first used. */
export class HttpConnection implements AsyncDisposable {
  readonly target: HttpTarget;
  /** Milliseconds without a sign of life after which the server counts as dead. */
  readonly timeLimitMs: number;
  readonly #agent: Agent;

  constructor(target: HttpTarget, timeLimitMs: number) {
    this.target = target;
    this.timeLimitMs = timeLimitMs;
    // undici's own limits are off: they do not cover a server that stops taking a body. Idle sockets are unreferenced
    // and go after 4 s. HTTP/2 brings nothing to one transfer at a time.
    this.#agent = new Agent({
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: timeLimitMs },
      allowH2: false,
    });
  }

  /**
   * Sends a request once and gives the reply, whatever its status. Its body must be read or discarded.
   * @throws HoldfastError `backend_unavailable` (no reply, a redirect that is not allowed), `cancelled`; an error of
   *   the body's source unchanged
   */
  async send(request: HttpRequest): Promise<HttpReply> {
    let url = request.url;
    for (let hops = 0; ; hops += 1) {
      const reply = await this.#exchange(request, url);
      const next = redirectOf(reply, url);
      if (next === undefined || !followingMethods.has(request.method)) return reply;
      const isSlash = next.origin === url.origin && next.pathname === `${url.pathname}/`;
      if (isSlash && request.stopAtSlash === true) return reply;
      await reply.discard();
      this.#requireAllowed(next, request.doing);
      if (hops === maxRedirects) {
        const text = `${request.doing} failed: the web server redirects in a circle. Check config.base_url.`;
        throw new HoldfastError('backend_unavailable', text, { retryable: false });
      }
      url = next;
    }
  }

  /**
   * Sends a request that may be repeated (RFC 9110 §9.2.2), and reads its reply by `use`. Failures of the connection
   * and replies that `use` finds damaged are met by further attempts with growing pauses, within the time limit.
   */
  async ask<T>(request: HttpRequest & { body?: string }, use: (reply: HttpReply) => Promise<T>): Promise<T> {
    const { doing, signal } = request;
    return retrying({ withinMs: this.timeLimitMs, attempts: metadataAttempts, doing, signal }, async () => {
      const reply = await this.send(request);
      try {
        if (isBusy(reply.status)) throw statusError(reply.status, doing);
        return await use(reply);
      } finally {
        await reply.discard();
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy(new Error('The backend was closed.'));
  }

  async #exchange(request: HttpRequest, url: URL): Promise<HttpReply> {
    const { doing, signal, body } = request;
    throwIfCancelled(signal, doing);
    const watch = new ProgressWatch(this.timeLimitMs, signal);
    try {
      watch.serversTurn();
      const answer = await this.#dispatch(request, url, watch);
      watch.ownTurn();
      return new HttpReply(answer, url, watch, doing, signal);
    } catch (error) {
      watch[Symbol.dispose]();
      if (typeof body === 'object' && body.failure !== undefined) throw body.failure.error;
      throw exchangeError(error, doing, watch, signal);
    }
  }

  async #dispatch(request: HttpRequest, url: URL, watch: ProgressWatch): Promise<Dispatcher.ResponseData> {
    const { method, body } = request;
    const options: Dispatcher.RequestOptions & { origin: string } = {
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method,
      headers: {
        // A compressed body has another length and another ETag than the file.
        'accept-encoding': 'identity',
        'user-agent': 'Holdfast',
        ...(url.origin === this.target.baseUrl.origin && this.target.authorization !== undefined
          ? { authorization: this.target.authorization }
          : {}),
        ...request.headers,
      },
      body: typeof body === 'string' ? body : null,
      signal: watch.signal,
    };
    // undici takes iterables (its documentation of `dispatch`), but its types do not know; a stream would read ahead.
    if (typeof body === 'object') Object.assign(options, { body: body.chunks(watch) });
    const answer = this.#agent.request(options);
    // undici does not give up a request that still waits for its connection, so that one is left behind.
    const stopped = Promise.withResolvers<never>();
    const stop = (): void => stopped.reject(new Error('given up'));
    watch.signal.addEventListener('abort', stop, { once: true });
    try {
      return await Promise.race([answer, stopped.promise]);
    } catch (error) {
      answer.then(
        (late) => late.body.destroy(),
        () => undefined,
      );
      throw error;
    } finally {
      watch.signal.removeEventListener('abort', stop);
    }
  }

  #requireAllowed(next: URL, doing: string): void {
    if (next.origin === this.target.baseUrl.origin || this.target.redirectOrigins.has(next.origin)) return;
    const advice = `Add it to config.allow_redirects_to, or set config.base_url to where the files are.`;
    const text = `${doing} failed: the web server redirects to ${next.origin}, which is not allowed. ${advice}`;
    throw new HoldfastError('backend_unavailable', text, { retryable: false });
  }
}

function redirectOf(reply: HttpReply, from: URL): URL | undefined {
  if (![301, 302, 303, 307, 308].includes(reply.status)) return undefined;
  return URL.parse(reply.header('location') ?? '', from.href) ?? undefined;
}

/** Statuses of a server, or of a proxy before it, that is only busy now. */
function isBusy(status: number): boolean {
  return status === 429 || status === 502 || status === 503 || status === 504;
}
