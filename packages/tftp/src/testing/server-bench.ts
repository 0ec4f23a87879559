import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { HoldfastError } from '@holdfast/contract/errors';
import { encodeRequest, type Packet, parsePacket } from '../packets.ts';
import type { TftpHooks, TftpLimits, TftpRequest } from '../server-options.ts';
import { createTftpServer, type TftpServer } from '../server.ts';
import type { TftpSource, TransferOutcome } from '../source.ts';
import { optionList } from './tftp-client.ts';

/** What the files of the tests have in them. */
export const content = Buffer.from(
  Uint8Array.from({ length: 100_000 }, (_, index) => (index * 31) ^ (index >> 8)),
);

/** A transfer that has ended. */
export interface Ended {
  path: string;
  outcome: TransferOutcome;
  error: HoldfastError | undefined;
  delivered: number;
}

/** A server that runs, and what it has told. */
export interface StartedServer {
  server: TftpServer;
  port: number;
  requests: TftpRequest[];
  refused: HoldfastError[];
  /** Resolves to the next transfer that has ended. */
  ended(): Promise<Ended>;
}

export interface StartOptions {
  limits?: Partial<TftpLimits>;
  singlePort?: boolean;
  hooks?: TftpHooks;
}

/** The servers and clients of one test at a time. */
export class ServerBench {
  readonly #open: AsyncDisposable[] = [];

  /** Starts a server on any free port of loopback. */
  readonly start = async (
    source: (request: TftpRequest) => TftpSource | Promise<TftpSource>,
    options: StartOptions = {},
  ): Promise<StartedServer> => {
    const requests: TftpRequest[] = [];
    const refused: HoldfastError[] = [];
    const results = new Mailbox<Ended>();
    const server = await createTftpServer({
      host: '127.0.0.1',
      port: 0,
      singlePort: options.singlePort ?? false,
      limits: options.limits ?? {},
      async open(request) {
        requests.push(request);
        return await source(request);
      },
      hooks: {
        ...options.hooks,
        ended: ({ path, delivered }, outcome, error) => results.put({ path, outcome, error, delivered }),
        refused: (_, error) => void refused.push(error),
      },
    });
    this.#open.push(server);
    return { server, port: server.address.port, requests, refused, ended: () => results.take() };
  };

  readonly rawClient = async (): Promise<RawClient> => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const client = new RawClient(socket);
    this.#open.push(client);
    return client;
  };

  /** Closes what the test has opened. */
  readonly clear = async (): Promise<void> => {
    for (const thing of this.#open.splice(0).toReversed()) await thing[Symbol.asyncDispose]();
  };
}

/** Things in the order in which they came, for takers who wait for them. */
class Mailbox<T> {
  readonly #items: T[] = [];
  readonly #takers: ((item: T) => void)[] = [];

  put(item: T): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#items.push(item);
    else taker(item);
  }

  take(): Promise<T> {
    const item = this.#items.shift();
    return item === undefined
      ? new Promise((resolve) => void this.#takers.push(resolve))
      : Promise.resolve(item);
  }
}

/** A packet that has come, and the port it came from. */
export interface Arrival {
  packet: Packet;
  port: number;
}

/** A client that does just what a test tells it to. */
export class RawClient implements AsyncDisposable {
  /** Packets that have come. */
  count = 0;
  readonly #socket: Socket;
  readonly #arrivals = new Mailbox<Arrival>();
  #isClosed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (bytes, from) => {
      this.count += 1;
      this.#arrivals.put({ packet: parsePacket(bytes), port: from.port });
    });
  }

  send(packet: Uint8Array, port: number): void {
    this.#socket.send(packet, port, '127.0.0.1');
  }

  read(port: number, path: string, options: Record<string, number> = {}): void {
    this.send(encodeRequest('read', path, 'octet', optionList(options)), port);
  }

  next(): Promise<Arrival> {
    return this.#arrivals.take();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await new Promise<void>((resolve) => void this.#socket.close(resolve));
  }
}
