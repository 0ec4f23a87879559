import { once } from 'node:events';
import { WebSocket } from 'ws';
import { event, type Event, type EventType } from '@holdfast/contract/events';
import { ADMIN_KEY, type TestHub } from './test-hub.ts';

/** A WebSocket on the event stream. Disposing closes it. */
export interface EventClient extends AsyncDisposable {
  /** Everything received so far, in order. */
  readonly received: readonly Event[];
  readonly socket: WebSocket;
  /** Resolves with the first event, received or to come, that the test accepts. Throws when the hub hangs up before. */
  first(accepts: (event: Event) => boolean): Promise<Event>;
  /** Resolves with the first event of a type. */
  firstOf<T extends EventType>(type: T): Promise<Extract<Event, { type: T }>>;
}

/** Connects to the event stream; rejects when the hub refuses, with the status in the message. */
export async function openEvents(
  hub: TestHub,
  options: { key?: string | null; types?: string } = {},
): Promise<EventClient> {
  const { key = ADMIN_KEY, types } = options;
  const query = types === undefined ? '' : `?types=${encodeURIComponent(types)}`;
  const socket = new WebSocket(`${hub.url.replace(/^http/, 'ws')}/api/v1/events${query}`, {
    headers: key === null ? {} : { authorization: `Bearer ${key}` },
  });
  const received: Event[] = [];
  const listeners = new Set<() => void>();
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.binaryType = 'nodebuffer';
  socket.on('message', (data) => {
    if (!Buffer.isBuffer(data)) throw new TypeError('the hub sent an event in pieces');
    received.push(event.parse(JSON.parse(data.toString())));
    for (const listener of [...listeners]) listener();
  });
  await once(socket, 'open');

  const first: EventClient['first'] = (accepts) =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = received.find(accepts);
        if (found === undefined) return;
        listeners.delete(look);
        resolve(found);
      };
      listeners.add(look);
      void closed.then(() => reject(new Error(`The hub hung up; received: ${JSON.stringify(received)}`)));
      look();
    });
  return {
    received,
    socket,
    first,
    async firstOf<T extends EventType>(type: T) {
      const isOfType = (candidate: Event): candidate is Extract<Event, { type: T }> =>
        candidate.type === type;
      const found = await first(isOfType);
      if (!isOfType(found)) throw new Error(`not a ${type}`);
      return found;
    },
    async [Symbol.asyncDispose]() {
      socket.close();
      await closed;
    },
  };
}
