import type { Event as HubEvent } from '@holdfast/contract/events';

/** An event before its time is stamped. */
export type EventInput = HubEvent extends infer E ? (E extends HubEvent ? Omit<E, 'at'> : never) : never;
type Listener = (event: HubEvent) => void;

/** Reports each business event once, to whoever listens: WebSocket clients, metrics, logs. */
export class Events {
  readonly #listeners = new Set<Listener>();
  readonly #now: () => Date;
  readonly #onListenerError: (error: unknown) => void;

  constructor(options: { now?: () => Date; onListenerError: (error: unknown) => void }) {
    this.#now = options.now ?? (() => new Date());
    this.#onListenerError = options.onListenerError;
  }

  publish(input: EventInput): void {
    const event = { ...input, at: this.#now().toISOString() };
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#onListenerError(error);
      }
    }
  }

  /** @returns a function that ends the subscription */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
