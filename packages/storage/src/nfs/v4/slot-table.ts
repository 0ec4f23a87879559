/** One lane of a session: one request at a time, numbered so that the server can tell a repetition (RFC 8881 §2.10.6). */
export interface Slot {
  readonly id: number;
  /** Of the request that goes next, or that is under way. */
  readonly sequenceId: number;
}

interface OwnSlot {
  id: number;
  sequenceId: number;
  isBusy: boolean;
}

/** The session that a slot was wanted of is no more. */
export class SessionGone extends Error {
  override readonly name = 'SessionGone';
}

/**
 * The slots of one session: who may send, and with which number. It knows nothing of sockets. A slot is busy until
 * its request was answered, whatever becomes of the connection meanwhile.
 */
export class SlotTable {
  readonly #slots: OwnSlot[];
  readonly #waiting: PromiseWithResolvers<Slot>[] = [];
  #isGone = false;

  constructor(count: number) {
    this.#slots = Array.from({ length: count }, (_, id) => ({ id, sequenceId: 1, isBusy: false }));
  }

  /** Slots that may be used. */
  get size(): number {
    return this.#slots.length;
  }

  /** Requests that are under way. */
  get busy(): number {
    return this.#slots.filter((slot) => slot.isBusy).length;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** The highest slot that is in use, or 0. */
  get highestBusy(): number {
    return this.#slots.findLast((slot) => slot.isBusy)?.id ?? 0;
  }

  /** A free slot, the lowest first; in the order of asking. @throws SessionGone */
  async acquire(): Promise<Slot> {
    if (this.#isGone) throw new SessionGone();
    const free = this.#slots.find((slot) => !slot.isBusy);
    if (free !== undefined) {
      free.isBusy = true;
      return free;
    }
    const turn = Promise.withResolvers<Slot>();
    this.#waiting.push(turn);
    return turn.promise;
  }

  /** The request of a slot was answered: the server has gone on to the next number. */
  complete(slot: Slot): void {
    const own = this.#own(slot);
    // 32 bits; after the last comes 0 (RFC 8881 §2.10.6.1).
    own.sequenceId = (own.sequenceId + 1) % 0x1_0000_0000;
    this.#free(own);
  }

  /** The request of a slot was refused before it counted: the number stays. */
  giveBack(slot: Slot): void {
    this.#free(this.#own(slot));
  }

  /** The server has fewer slots than were thought: this one is not used again. */
  retire(slot: Slot): void {
    const index = this.#slots.findIndex((own) => own.id === slot.id);
    if (index >= 0) this.#slots.splice(index, 1);
    if (this.#slots.length === 0) this.end();
  }

  /** The session is no more: whoever waits for a slot is told. */
  end(): void {
    this.#isGone = true;
    for (const turn of this.#waiting.splice(0)) turn.reject(new SessionGone());
  }

  #own(slot: Slot): OwnSlot {
    const own = this.#slots.find(({ id }) => id === slot.id);
    if (own === undefined || !own.isBusy) throw new Error(`Slot ${slot.id} is not in use.`);
    return own;
  }

  #free(slot: OwnSlot): void {
    const next = this.#waiting.shift();
    if (next === undefined) slot.isBusy = false;
    else next.resolve(slot);
  }
}
