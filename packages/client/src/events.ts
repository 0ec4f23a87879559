import { event as eventSchema } from '@holdfast/contract/events';
import type { Event, EventType } from '@holdfast/contract/events';
import { endpoints } from '@holdfast/contract/endpoints';
import { HoldfastError } from '@holdfast/contract/errors';
import { isPassing } from './client.ts';
import type { HubClient } from './client.ts';
import { parsedJson } from './problem-answer.ts';
import { requestTarget } from './request-target.ts';
import { backoffMs, cancelledBy, pauseFor } from './retry.ts';

export interface EventOptions {
  /** Default: all. */
  types?: readonly EventType[];
  signal?: AbortSignal;
  /** Told each time a connection is there; what happened between two of them was missed: read the present state. */
  onConnected?: () => void;
  /** Told each time the connection was lost. */
  onWaiting?: (waiting: { error: Error; retryInMs: number }) => void;
}

const pauses = { baseMs: 500, capMs: 15_000 };

/**
 * What happens at the hub, as it happens; connects again whenever the connection is lost, until the signal aborts or the loop is left.
 * Node sends the key in a header; a browser cannot, and needs the cookie of a session there. Memory: what has come and was not yet
 * taken; the hub lets a reader go that falls 1 MiB behind.
 * @throws HoldfastError `unauthenticated`, `forbidden` when the key does not allow it; never for a hub that is away
 */
export async function* events(
  client: HubClient,
  options: EventOptions = {},
): AsyncGenerator<Event, void, void> {
  const { types, signal, onWaiting } = options;
  for (let failures = 0; ;) {
    if (signal?.aborted === true) return;
    const lost = connectionLost(client);
    let error: Error = lost;
    const connection = new Connection(client, types, () => {
      failures = 0;
      options.onConnected?.();
    });
    const stop = (): void => connection.close();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      yield* connection.received();
    } finally {
      signal?.removeEventListener('abort', stop);
      connection.close();
    }
    if (isAborted(signal)) return;
    // A WebSocket does not tell why it was refused: an ordinary call does.
    if (!connection.wasOpen) error = (await refusalOf(client, signal)) ?? lost;
    failures += 1;
    const retryInMs = backoffMs(failures, pauses);
    onWaiting?.({ error, retryInMs });
    try {
      await pauseFor(retryInMs, signal);
    } catch {
      return;
    }
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

async function refusalOf(client: HubClient, signal: AbortSignal | undefined): Promise<Error | undefined> {
  try {
    await client.call('getSystemInfo', { retry: false, ...(signal === undefined ? {} : { signal }) });
    return undefined;
  } catch (error) {
    if (isPassing(error)) return error;
    if (isAborted(signal)) return cancelledBy(signal);
    throw error;
  }
}

function connectionLost(client: HubClient): HoldfastError {
  return new HoldfastError('unreachable', `The connection to ${client.url} for events was lost.`);
}

/** One WebSocket and the events that have come over it. */
class Connection {
  wasOpen = false;
  readonly #socket: WebSocket;
  readonly #waiting: Event[] = [];
  #isClosed = false;
  #wake: (() => void) | undefined;

  constructor(client: HubClient, types: readonly EventType[] | undefined, onOpen: () => void) {
    const query = types === undefined ? {} : { types: types.join(',') };
    const target = client.url.replace(/^http/, 'ws') + requestTarget(endpoints.subscribeEvents, {}, query);
    this.#socket = openSocket(target, client.apiKey);
    this.#socket.addEventListener('open', () => {
      this.wasOpen = true;
      onOpen();
    });
    this.#socket.addEventListener('message', ({ data }) => {
      // A type that this version does not know is none that it was asked for.
      const parsed = typeof data === 'string' ? eventSchema.safeParse(parsedJson(data)) : undefined;
      if (parsed?.success === true) this.#waiting.push(parsed.data);
      this.#wake?.();
    });
    const end = (): void => {
      this.#isClosed = true;
      this.#wake?.();
    };
    this.#socket.addEventListener('close', end);
    this.#socket.addEventListener('error', end);
  }

  async *received(): AsyncGenerator<Event, void, void> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) yield next;
      else if (this.#isClosed) return;
      else await this.#change();
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.close();
    this.#wake?.();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** Node takes headers beside the URL; browsers take protocols only, and would refuse an object. */
function openSocket(target: string, apiKey: string | undefined): WebSocket {
  const isBrowser = 'document' in globalThis || 'importScripts' in globalThis;
  if (isBrowser || apiKey === undefined) return new WebSocket(target);
  return new WebSocket(target, { headers: { authorization: `Bearer ${apiKey}` } });
}
