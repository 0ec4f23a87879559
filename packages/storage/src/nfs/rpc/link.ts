import { HoldfastError } from '@holdfast/contract/errors';
import { setTimeout as delay } from 'node:timers/promises';
import { GarbledReply } from '../xdr/garbled.ts';
import type { XdrReader } from '../xdr/reader.ts';
import { ConnectFailed, ConnectionLost, RpcConnection } from './connection.ts';
import type { RpcCredential, RpcReply, RpcRequest } from './message.ts';
import { connectProblem, deadServer, garbledServer } from './problems.ts';

const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 1000;
/** How often one call is asked again because its answer made no sense. */
const MAX_GARBLED = 4;

export interface LinkOptions {
  server: string;
  port: number;
  localPort?: number | undefined;
  credential: RpcCredential;
  /** Milliseconds without any sign of life after which a call is given up. */
  timeLimitMs: number;
}

/** The server refused a call before it looked at the procedure: twice, so that it was not a garbled request. */
export class RpcRefused extends Error {
  override readonly name = 'RpcRefused';
  readonly reply: Exclude<RpcReply, { kind: 'success' }>;

  constructor(reply: Exclude<RpcReply, { kind: 'success' }>) {
    super(`the server refused the call: ${reply.kind}`);
    this.reply = reply;
  }
}

export interface Answer<T> {
  value: T;
  /** The call was sent more than once, so that its first time may have been done and its answer lost. */
  wasResent: boolean;
}

/**
 * A server that is called over one connection, made when it is needed and made anew when it breaks. While the server
 * has shown a sign of life within the time limit, calls wait for it to come back and are sent again; after that they
 * fail with `backend_unavailable`.
 */
export class RpcLink implements AsyncDisposable {
  readonly options: LinkOptions;
  #connection: RpcConnection | undefined;
  #connecting: Promise<RpcConnection> | undefined;
  #lastAlive = Number.NEGATIVE_INFINITY;
  /** Connections that were made since the last answer, and brought none. */
  #fruitless = 0;
  readonly #disposed = new AbortController();

  constructor(options: LinkOptions) {
    this.options = options;
  }

  /** Whether there is a connection at this moment. */
  get isConnected(): boolean {
    return this.#connection?.isOpen === true;
  }

  /** A connection that is open. @throws HoldfastError `backend_unavailable` */
  async connect(): Promise<RpcConnection> {
    if (this.#connection?.isOpen === true) return this.#connection;
    this.#connecting ??= this.#establish().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  /**
   * Calls a procedure and decodes its results, over as many connections as it takes.
   * @param decode throws GarbledReply for results that make no sense: the call is then made again
   * @throws HoldfastError `backend_unavailable`; RpcRefused
   */
  async call<T>(request: RpcRequest, decode: (results: XdrReader) => T): Promise<Answer<T>> {
    const started = performance.now();
    let wasResent = false;
    let refusals = 0;
    for (let garbled = 0; ;) {
      const connection = await this.connect();
      try {
        const reply = await connection.call(request);
        if (reply.kind === 'success') return { value: decode(reply.results), wasResent };
        refusals += 1;
        if (refusals === 2 && reply.kind !== 'garbledArguments') throw new RpcRefused(reply);
        if (reply.kind === 'garbledArguments') throw new GarbledReply('the server could not read the call');
      } catch (error) {
        wasResent = true;
        if (error instanceof GarbledReply) {
          garbled += 1;
          // What else comes over this connection may be shifted: it is not used again.
          connection.close('an answer was garbled');
          if (garbled >= MAX_GARBLED) throw garbledServer(this.options, error);
        } else if (!(error instanceof ConnectionLost)) {
          throw error;
        } else if (error.cause instanceof GarbledReply) {
          garbled += 1;
          if (garbled >= MAX_GARBLED) throw garbledServer(this.options, error);
        }
        if (performance.now() >= this.deadline(started)) throw deadServer(this.options, error);
      }
    }
  }

  /** Until when something that started at a time is worth waiting for, by `performance.now`. */
  deadline(started: number): number {
    return Math.max(this.#lastAlive, started) + this.options.timeLimitMs;
  }

  /** Waits. @throws HoldfastError `backend_unavailable` as soon as the link is disposed */
  async pause(milliseconds: number): Promise<void> {
    try {
      await delay(milliseconds, undefined, { signal: this.#disposed.signal });
    } catch (error) {
      throw new HoldfastError('shutting_down', 'The backend was closed while it was in use.', {
        cause: error,
      });
    }
  }

  /** Drops the connection without a word. */
  disconnect(): void {
    this.#connection?.close();
    this.#connection = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort();
    await this.#connecting?.catch(() => undefined);
    this.disconnect();
  }

  async #establish(): Promise<RpcConnection> {
    if (this.#disposed.signal.aborted) throw closed();
    // Something may take connections and drop them at once: a relay, say, whose server is down.
    if (this.#fruitless > 0)
      await this.pause(Math.min(FIRST_RETRY_MS * 2 ** this.#fruitless, LONGEST_RETRY_MS));
    this.#fruitless += 1;
    for (let wait = FIRST_RETRY_MS; ; wait = Math.min(2 * wait, LONGEST_RETRY_MS)) {
      try {
        const connection = await RpcConnection.open({
          host: this.options.server,
          port: this.options.port,
          localPort: this.options.localPort,
          credential: this.options.credential,
          // Half of the limit: the other half is for a second try over a new connection.
          stallMs: this.options.timeLimitMs / 2,
          onAlive: () => {
            this.#lastAlive = performance.now();
            this.#fruitless = 0;
          },
        });
        this.#connection = connection;
        return connection;
      } catch (error) {
        if (!(error instanceof ConnectFailed)) throw error;
        const worthWaiting = performance.now() + wait < this.#lastAlive + this.options.timeLimitMs;
        if (!worthWaiting) throw connectProblem(this.options, error);
        await this.pause(wait);
      }
    }
  }
}

function closed(cause?: unknown): HoldfastError {
  const text = 'The backend was closed while it was in use. Try again.';
  return new HoldfastError('backend_unavailable', text, { cause });
}
