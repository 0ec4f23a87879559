import { once } from 'node:events';
import { createServer as createHttpServer, get } from 'node:http';
import type { IncomingMessage, RequestListener } from 'node:http';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { Writable } from 'node:stream';

/** Two ends of one TCP connection over loopback. */
export interface Loopback extends AsyncDisposable {
  near: Socket;
  far: Socket;
}

/** Opens a TCP connection; disposing destroys both ends and the server. */
export async function openLoopback(): Promise<Loopback> {
  const server = createServer();
  const port = await listen(server);
  const accepted = Promise.withResolvers<Socket>();
  server.once('connection', accepted.resolve);
  const far = connect(port, '127.0.0.1');
  const near = await accepted.promise;
  return {
    near,
    far,
    async [Symbol.asyncDispose]() {
      far.destroy();
      near.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** One GET to an HTTP server that answers with `listener`. */
export interface HttpExchange extends AsyncDisposable {
  answer: IncomingMessage;
}

/** Sends one GET over HTTP; resolves with the head of the answer. Disposing closes the server. */
export async function exchangeHttp(listener: RequestListener): Promise<HttpExchange> {
  const server = createHttpServer(listener);
  const port = await listen(server);
  const answered = Promise.withResolvers<IncomingMessage>();
  get({ port, agent: false }, answered.resolve).once('error', answered.reject);
  const answer = await answered.promise;
  return {
    answer,
    async [Symbol.asyncDispose]() {
      answer.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The test server has no port.');
  return address.port;
}

/** All bytes that arrive until the other side ends. */
export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A receiver that takes a block only when the test says so, and looks at its bytes only then. */
export class HeldReceiver extends Writable {
  readonly taken: Buffer[] = [];
  #held: { chunk: Uint8Array; callback: (error?: Error | null) => void } | undefined;
  #arrival = Promise.withResolvers<void>();

  override _write(chunk: Uint8Array, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#held = { chunk, callback };
    this.#arrival.resolve();
  }

  /** Resolves when a block waits to be taken. */
  async arrival(): Promise<void> {
    await this.#arrival.promise;
  }

  /** Takes the block that waits. */
  release(): void {
    const held = this.#held;
    if (held === undefined) throw new Error('No block waits to be taken.');
    this.#held = undefined;
    this.#arrival = Promise.withResolvers<void>();
    this.taken.push(Buffer.from(held.chunk));
    held.callback();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.taken);
  }
}
