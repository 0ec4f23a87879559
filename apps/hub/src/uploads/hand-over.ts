import { cancellationOf } from '@holdfast/bytes/cancellation';
import type { HoldfastError } from '@holdfast/contract/errors';

/** A lock that is held. Disposing passes it on. */
export interface Hold extends Disposable {
  /** Fires when a newcomer wants the lock: its reason is the error to end with. */
  readonly signal: AbortSignal;
  /** Whether somebody else held it before, so that what was known of its subject may be old. */
  readonly waited: boolean;
}

interface Waiter {
  take: () => void;
  refuse: (reason: unknown) => void;
}

interface Subject {
  holder: AbortController;
  /** At most one: whoever comes later takes its place. */
  waiter: Waiter | undefined;
}

/**
 * Locks whose holder is asked to let go when somebody else comes: of two connections that send the same bytes, the newer
 * one is the one that still has a client. It begins when the older one has really let go; an older one that still waits
 * for its turn is refused at once.
 */
export class HandOverLocks {
  readonly #subjects = new Map<string, Subject>();
  readonly #superseded: (subject: string) => HoldfastError;

  /** @param superseded the error that the one who lets go ends with */
  constructor(superseded: (subject: string) => HoldfastError) {
    this.#superseded = superseded;
  }

  /** @throws the `superseded` error when a newcomer comes while this one waits; `cancelled` */
  async take(subject: string, signal?: AbortSignal): Promise<Hold> {
    if (signal?.aborted === true) throw cancellationOf(signal, 'Waiting for the other connection');
    const state = this.#subjects.get(subject);
    if (state === undefined) return this.#hold(subject, false);
    const reason = this.#superseded(subject);
    state.holder.abort(reason);
    state.waiter?.refuse(reason);
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const waiter: Waiter = { take: () => resolve(undefined), refuse: reject };
    state.waiter = waiter;
    const onAbort = (): void => {
      if (state.waiter === waiter) state.waiter = undefined;
      reject(cancellationOf(signal, 'Waiting for the other connection'));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
    return this.#hold(subject, true);
  }

  #hold(subject: string, waited: boolean): Hold {
    const holder = new AbortController();
    const known = this.#subjects.get(subject);
    const state: Subject = known ?? { holder, waiter: undefined };
    state.holder = holder;
    this.#subjects.set(subject, state);
    // Somebody may have come between the pass and now.
    if (state.waiter !== undefined) holder.abort(this.#superseded(subject));
    return {
      signal: holder.signal,
      waited,
      [Symbol.dispose]: () => {
        if (state.holder !== holder) return; // disposed already
        this.#pass(subject, state);
      },
    };
  }

  #pass(subject: string, state: Subject): void {
    const next = state.waiter;
    state.waiter = undefined;
    state.holder = new AbortController(); // nobody's, until the next one wakes up
    if (next === undefined) this.#subjects.delete(subject);
    else next.take();
  }
}
