interface Seat<T> {
  session: Promise<T>;
  users: number;
  /** Set once nobody uses it any more; resolves when it is gone. */
  ending: Promise<void> | undefined;
}

/** The one session of each upload of this process, shared by all who work on it, and ended with the last of them. */
export class SessionTable<T extends AsyncDisposable> implements AsyncDisposable {
  readonly #seats = new Map<string, Seat<T>>();

  /** The session of an id; made by the first one who asks. To be given back by `leave`. */
  async enter(id: string, make: () => Promise<T>): Promise<T> {
    for (let seat = this.#seats.get(id); seat?.ending !== undefined; seat = this.#seats.get(id)) {
      await seat.ending;
    }
    const seat = this.#seats.get(id) ?? { session: make(), users: 0, ending: undefined };
    this.#seats.set(id, seat);
    seat.users += 1;
    try {
      return await seat.session;
    } catch (error) {
      if (this.#seats.get(id) === seat) this.#seats.delete(id);
      throw error;
    }
  }

  /** One user of a session has ended; with the last one it does. */
  async leave(id: string, session: T): Promise<void> {
    const seat = this.#seats.get(id);
    // After `forget` another session may be there under this id.
    if (seat === undefined || (await seat.session.catch(() => undefined)) !== session) return;
    seat.users -= 1;
    if (seat.users <= 0) await this.#end(id, seat);
  }

  /** Ends the session of an id, whoever uses it. */
  async forget(id: string): Promise<void> {
    const seat = this.#seats.get(id);
    if (seat !== undefined) await this.#end(id, seat);
  }

  #end(id: string, seat: Seat<T>): Promise<void> {
    seat.ending ??= this.#dispose(id, seat);
    return seat.ending;
  }

  async #dispose(id: string, seat: Seat<T>): Promise<void> {
    try {
      const session = await seat.session.catch(() => undefined);
      await session?.[Symbol.asyncDispose]();
    } finally {
      if (this.#seats.get(id) === seat) this.#seats.delete(id);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#seats].map(([id, seat]) => this.#end(id, seat)));
  }
}
