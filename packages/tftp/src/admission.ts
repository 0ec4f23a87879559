import { HoldfastError } from '@holdfast/contract/errors';
import type { Client } from './endpoint.ts';

/** The transfers of a server: by client, and counted, so that nobody takes all places. */
export class Admission<S> {
  readonly #limits: { maxSessions: number; maxSessionsPerClient: number };
  readonly #byClient = new Map<string, S>();
  readonly #perAddress = new Map<string, number>();
  /** Also those that only still close their file: they hold memory and a descriptor. */
  readonly #open = new Map<S, string>();

  constructor(limits: { maxSessions: number; maxSessionsPerClient: number }) {
    this.#limits = limits;
  }

  /** Transfers that have not closed their file yet. */
  get size(): number {
    return this.#open.size;
  }

  sessions(): Iterable<S> {
    return this.#open.keys();
  }

  /** The transfer of a client: TFTP tells transfers apart by address and port alone. */
  find(client: Client): S | undefined {
    return this.#byClient.get(keyOf(client));
  }

  /** Why a client gets no further transfer now, or undefined. */
  check(client: Client): HoldfastError | undefined {
    const { maxSessions, maxSessionsPerClient } = this.#limits;
    if (this.#open.size >= maxSessions) {
      return new HoldfastError('too_many_requests', `All ${maxSessions} TFTP transfers are in use.`);
    }
    if ((this.#perAddress.get(client.address) ?? 0) >= maxSessionsPerClient) {
      const detail = `${client.address} has ${maxSessionsPerClient} TFTP transfers already.`;
      return new HoldfastError('too_many_requests', detail);
    }
    return undefined;
  }

  enter(client: Client, session: S): void {
    this.#byClient.set(keyOf(client), session);
    this.#open.set(session, client.address);
    this.#perAddress.set(client.address, (this.#perAddress.get(client.address) ?? 0) + 1);
  }

  /** The transfer has ended: the same client may start the next one. */
  leave(client: Client, session: S): void {
    const key = keyOf(client);
    if (this.#byClient.get(key) === session) this.#byClient.delete(key);
  }

  /** The transfer has given everything back. */
  closed(session: S): void {
    const address = this.#open.get(session);
    if (address === undefined) return;
    this.#open.delete(session);
    const left = (this.#perAddress.get(address) ?? 1) - 1;
    if (left > 0) this.#perAddress.set(address, left);
    else this.#perAddress.delete(address);
  }
}

function keyOf(client: Client): string {
  return `${client.address} ${client.port}`;
}
