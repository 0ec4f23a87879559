import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { text } from 'node:stream/consumers';

export interface Call {
  headers?: Record<string, string | number>;
  /** Sent one after the other, without being copied; Content-Length is their sum. */
  body?: readonly Uint8Array[];
  /** The status that is a success. Default: 200. */
  expect?: number;
}

export interface CallAnswer {
  headers: IncomingHttpHeaders;
  body: string;
}

/** A client of one server with a number of connections that stay open: as little of its own as Node allows. */
export class Connections implements Disposable {
  readonly #agent: Agent;
  readonly #url: string;
  readonly #headers: Record<string, string>;

  /** @param headers of every call */
  constructor(url: string, count: number, headers: Record<string, string> = {}) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: count, maxFreeSockets: count });
    this.#url = url;
    this.#headers = headers;
  }

  /** @throws Error with the body of an answer of any other status; what breaks the connection */
  async call(method: string, path: string, { headers, body = [], expect = 200 }: Call): Promise<CallAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<CallAnswer>();
    const outgoing = request(this.#url + path, {
      method,
      agent: this.#agent,
      headers: {
        ...this.#headers,
        ...headers,
        'content-length': body.reduce((sum, part) => sum + part.byteLength, 0),
      },
    });
    outgoing.on('error', reject);
    outgoing.once('response', (response) => {
      text(response).then((answer) => {
        if (response.statusCode === expect) resolve({ headers: response.headers, body: answer });
        else reject(new Error(`${method} ${path} answered ${response.statusCode}: ${answer}`));
      }, reject);
    });
    for (const part of body) outgoing.write(part);
    outgoing.end();
    return promise;
  }

  /** Closes the connections. */
  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
