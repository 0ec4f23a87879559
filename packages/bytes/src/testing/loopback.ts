import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';

/** Two ends of one TCP connection over loopback. */
export interface Loopback extends AsyncDisposable {
  near: Socket;
  far: Socket;
}

/** Opens a TCP connection; disposing destroys both ends and the server. */
export async function openLoopback(): Promise<Loopback> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The test server has no port.');
  const accepted = once(server, 'connection');
  const far = connect(address.port, '127.0.0.1');
  const near: Socket = (await accepted)[0];
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
