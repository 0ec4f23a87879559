import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';

/** Which way bytes go: from the client to the server, or back. */
export type ProxyDirection = 'toServer' | 'toClient';

export interface FlipOptions {
  direction: ProxyDirection;
  /** How many bytes of that direction pass unharmed from now on, over all connections. */
  afterBytes: number;
  /** The bits that are changed. Default: all eight. */
  mask?: number;
}

export interface LimitOptions {
  direction: ProxyDirection;
  /** Bytes that a connection passes on in that direction before it is reset. */
  bytes: number;
}

/** A TCP relay on loopback that can be told to misbehave. Disposing cuts everything and stops listening. */
export interface TcpProxy extends AsyncDisposable {
  readonly host: string;
  readonly listenPort: number;
  /** Bytes passed on so far, over all connections. */
  readonly bytes: Readonly<Record<ProxyDirection, number>>;
  /** Connections that were accepted so far. */
  readonly accepted: number;
  /** Connections that are open now. */
  readonly open: number;
  /** Passes nothing on any more, either way, and takes new connections without an answer: a dead server. */
  stall(): void;
  /** Ends a stall; what was held back goes on. */
  resume(): void;
  /** Resets every open connection. New ones are welcome. */
  cut(): void;
  /** Resets each connection that comes from now on as soon as it has passed on so many bytes; null: none any more. */
  limitEach(limit: LimitOptions | null): void;
  /** Connections that have come to their limit so far. */
  readonly limited: number;
  /** Resets new connections at once (true), or serves them again (false). */
  refuse(isRefusing: boolean): void;
  /** Changes one byte on its way; resolves when it has happened. */
  flipByte(options: FlipOptions): Promise<void>;
  /** Resolves as soon as this many bytes in all have been passed on in a direction. */
  passed(direction: ProxyDirection, bytes: number): Promise<void>;
  /** Resolves as soon as this many more connections have come. */
  moreConnections(count: number): Promise<void>;
}

interface Flip {
  direction: ProxyDirection;
  at: number;
  mask: number;
  done: () => void;
}

class Relay implements TcpProxy {
  readonly host = '127.0.0.1';
  readonly listenPort: number;
  readonly bytes: Record<ProxyDirection, number> = { toServer: 0, toClient: 0 };
  accepted = 0;
  limited = 0;
  readonly #server;
  readonly #target: { host: string; port: number };
  readonly #pairs = new Set<readonly [client: Socket, server: Socket]>();
  readonly #flips = new Set<Flip>();
  readonly #waiters = new Set<{ direction: ProxyDirection; bytes: number; done: () => void }>();
  readonly #expected = new Set<{ accepted: number; done: () => void }>();
  #isStalled = false;
  #isRefusing = false;
  #limit: LimitOptions | null = null;

  constructor(server: ReturnType<typeof createServer>, port: number, target: { host: string; port: number }) {
    this.#server = server;
    this.listenPort = port;
    this.#target = target;
    server.on('connection', (client) => this.#accept(client));
  }

  get open(): number {
    return this.#pairs.size;
  }

  stall(): void {
    this.#isStalled = true;
    for (const socket of this.#sockets()) socket.pause();
  }

  resume(): void {
    this.#isStalled = false;
    for (const socket of this.#sockets()) socket.resume();
  }

  cut(): void {
    for (const socket of this.#sockets()) socket.resetAndDestroy();
  }

  limitEach(limit: LimitOptions | null): void {
    this.#limit = limit;
  }

  refuse(isRefusing: boolean): void {
    this.#isRefusing = isRefusing;
  }

  flipByte({ direction, afterBytes, mask = 0xff }: FlipOptions): Promise<void> {
    return new Promise((done) => {
      this.#flips.add({ direction, at: this.bytes[direction] + afterBytes, mask, done });
    });
  }

  passed(direction: ProxyDirection, bytes: number): Promise<void> {
    if (this.bytes[direction] >= bytes) return Promise.resolve();
    return new Promise((done) => {
      this.#waiters.add({ direction, bytes, done });
    });
  }

  moreConnections(count: number): Promise<void> {
    return new Promise((done) => {
      this.#expected.add({ accepted: this.accepted + count, done });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  #sockets(): Socket[] {
    return [...this.#pairs].flat();
  }

  #accept(client: Socket): void {
    this.accepted += 1;
    for (const wait of this.#expected) {
      if (this.accepted < wait.accepted) continue;
      this.#expected.delete(wait);
      wait.done();
    }
    // A client that is gone before it is refused, or while it is served, is no failure of the relay.
    client.on('error', () => client.destroy());
    if (this.#isRefusing) {
      client.resetAndDestroy();
      return;
    }
    const server = connect({ ...this.#target, allowHalfOpen: true });
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    for (const socket of pair) socket.setNoDelay(true);
    this.#relay(client, server, 'toServer');
    this.#relay(server, client, 'toClient');
    const end = (): void => {
      this.#pairs.delete(pair);
    };
    client.on('close', (hadError) => {
      end();
      if (hadError) server.resetAndDestroy();
      else server.destroySoon();
    });
    // The end of the server is told the way it came: reset stays reset.
    server.on('error', () => client.resetAndDestroy());
    server.on('close', () => {
      end();
      client.destroySoon();
    });
    if (this.#isStalled) for (const socket of pair) socket.pause();
  }

  #relay(from: Socket, to: Socket, direction: ProxyDirection): void {
    const limit = this.#limit?.direction === direction ? this.#limit.bytes : Number.POSITIVE_INFINITY;
    let own = 0;
    from.on('data', (chunk) => {
      const whole = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      const bytes = whole.subarray(0, limit - own);
      own += bytes.byteLength;
      this.#harm(bytes, direction);
      this.bytes[direction] += bytes.byteLength;
      if (to.writable && !to.write(bytes)) {
        from.pause();
        to.once('drain', () => {
          if (!this.#isStalled) from.resume();
        });
      }
      for (const waiter of this.#waiters) {
        if (waiter.direction !== direction || this.bytes[direction] < waiter.bytes) continue;
        this.#waiters.delete(waiter);
        waiter.done();
      }
      if (own < limit) return;
      this.limited += 1;
      for (const socket of [from, to]) socket.resetAndDestroy();
    });
    from.on('end', () => to.end());
  }

  #harm(bytes: Buffer, direction: ProxyDirection): void {
    for (const flip of this.#flips) {
      const at = flip.at - this.bytes[direction];
      const byte = flip.direction === direction ? bytes[at] : undefined;
      if (byte === undefined) continue;
      bytes[at] = byte ^ flip.mask;
      this.#flips.delete(flip);
      flip.done();
    }
  }
}

/** Starts a relay to a server. It takes any free port of 127.0.0.1. */
export async function startTcpProxy(target: { host?: string; port: number }): Promise<TcpProxy> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: false });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The relay has no port.');
  return new Relay(server, address.port, { host: target.host ?? '127.0.0.1', port: target.port });
}
