import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A relay to PostgreSQL that sees every change that becomes durable. Disposing cuts everything. */
export interface CommitRelay extends AsyncDisposable {
  /** The URL of the database by way of the relay. */
  readonly url: string;
  /**
   * Counts from here on. At the `number`-th commit nothing passes any more and `strike` is called: with `before`, the server has
   * not heard of it; with `after`, it has committed, and the client does not know.
   */
  strikeAt(number: number, moment: 'before' | 'after', strike: () => void): void;
  /** Lets everything pass again. */
  spare(): void;
}

/**
 * Starts a relay on loopback. A commit is the statement of that name, and a statement that changes something outside a transaction
 * (PostgreSQL, "Message Flow": each query of its own is a transaction).
 */
export async function startCommitRelay(databaseUrl: string): Promise<CommitRelay> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  let commits = 0;
  let plan: { number: number; moment: 'before' | 'after'; strike: () => void } | undefined;
  const strikes = (moment: 'before' | 'after'): boolean =>
    plan !== undefined && plan.moment === moment && plan.number === commits;
  const halt = (): void => {
    for (const socket of sockets) socket.pause();
    plan?.strike();
    plan = undefined;
  };

  const server = createServer((client) => {
    const database = connect(Number(target.port), target.hostname);
    let inTransaction = false;
    let isStruck = false;
    for (const [socket, other] of [
      [client, database],
      [database, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      // A hub that is killed leaves broken connections on both sides.
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.on('data', (bytes: Buffer) => {
      const text = bytes.toString('latin1').toLowerCase();
      const wasInTransaction = inTransaction;
      if (/\bbegin\b|\bstart transaction\b/.test(text)) inTransaction = true;
      const ends = /\bcommit\0/.test(text);
      if (ends || /\brollback\0/.test(text)) inTransaction = false;
      if (ends || (!wasInTransaction && !inTransaction && /\0(insert|update|delete|with) /.test(text))) {
        commits += 1;
        if (strikes('before')) {
          halt();
          return;
        }
        isStruck = strikes('after');
      }
      database.write(bytes);
    });
    database.on('data', (bytes: Buffer) => {
      if (isStruck) halt();
      else client.write(bytes);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The relay has no port.');
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String(address.port);
  return {
    url: url.href,
    strikeAt(number, moment, strike) {
      commits = 0;
      plan = { number, moment, strike };
    },
    spare() {
      plan = undefined;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}
