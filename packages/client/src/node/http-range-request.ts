import type { IncomingMessage } from 'node:http';
import type { Endpoint } from '@holdfast/contract/endpoint';
import type { EndpointName } from '@holdfast/contract/endpoints';
import { endpoints } from '@holdfast/contract/endpoints';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { LooseCallOptions } from '../call-types.ts';
import type { HubClient } from '../client.ts';
import { unreachable } from '../problem-answer.ts';
import { requestTarget } from '../request-target.ts';
import { cancelledBy } from '../retry.ts';
import { type HttpConnections, httpConnections } from './http-agent.ts';
import { headersOf, refusalOf } from './http-answer.ts';
import type { RangeBody } from './download-source.ts';

/** Milliseconds without a byte after which a connection counts as dead. */
const SILENCE_MS = 60_000;

/** The head of an answer, and its bytes. */
export interface HttpAnswer {
  status: number;
  headers: Headers;
  body: RangeBody;
}

/** Asks a hub for bytes, once for each call: whoever reads them knows where to go on when a connection breaks. */
export class HttpRangeRequests {
  readonly #client: Pick<HubClient, 'url' | 'headers'>;
  readonly #connections: HttpConnections;

  constructor(client: Pick<HubClient, 'url' | 'headers'>) {
    this.#client = client;
    this.#connections = httpConnections(client.url);
  }

  /** @throws HoldfastError what the hub answered, `unreachable`, `cancelled` */
  async get(name: EndpointName, given: LooseCallOptions, signal: AbortSignal): Promise<HttpAnswer> {
    const { url, headers } = this.#client;
    const endpoint: Endpoint = endpoints[name];
    const { agent, request } = this.#connections;
    const silence = new AbortController();
    try {
      const sent = request(url + requestTarget(endpoint, given.params, given.query), {
        method: endpoint.method,
        headers: { ...headers, ...given.headers },
        agent,
        signal: AbortSignal.any([signal, silence.signal]),
      });
      sent.setTimeout(SILENCE_MS, () => {
        silence.abort(new Error(`nothing came for ${SILENCE_MS / 1000} s`));
      });
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        sent.once('response', resolve);
        // It stays: the connection can break after the answer has begun, which its reader is told.
        sent.on('error', reject);
      });
      sent.end();
      return await this.#opened(await answered, endpoint);
    } catch (error) {
      if (signal.aborted) throw cancelledBy(signal);
      if (isHoldfastError(error)) throw error;
      throw unreachable(url, silence.signal.aborted ? silence.signal.reason : error);
    }
  }

  async #opened(answer: IncomingMessage, endpoint: Endpoint): Promise<HttpAnswer> {
    const status = answer.statusCode ?? 0;
    if (!endpoint.status.includes(status)) throw await refusalOf(answer, this.#client.url);
    const body: AsyncIterable<Uint8Array> = answer;
    return {
      status,
      headers: headersOf(answer),
      body: {
        [Symbol.asyncIterator]: () => body[Symbol.asyncIterator](),
        cancel: async () => void answer.destroy(),
      },
    };
  }
}
