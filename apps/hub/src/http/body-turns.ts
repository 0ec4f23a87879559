import type { IncomingMessage } from 'node:http';
import { readInTurns, type BodyTurn } from './body.ts';
import type { Parked, ParkedBytes } from './parked-bytes.ts';

/** Bodies that are read at the same time. Enough to keep storages busy, and few enough for their buffers to stay small. */
const MOST_AT_ONCE = 128;
/** So many may wait with what came along with their heads in memory, up to 64 KiB each. */
const MOST_IN_MEMORY = 128;
/** How often it is looked who gives way, in milliseconds; only while somebody waits. */
const LOOK_EVERY_MS = 250;
/** A client that sent nothing between so many looks gives way. Counted, not timed: a busy process looks less often. */
const STALLED_LOOKS = 2;
/** A client that is waited for again and again gives way after so many looks. */
const SLICE_LOOKS = 8;
/** A storage that took nothing between so many looks must not keep the clients of others waiting. */
const STUCK_LOOKS = 20;

/** Who had the turn for so long without anybody else waiting had the time to send, in milliseconds. */
const LISTENED_MS = 5000;

interface Place extends BodyTurn {
  readonly request: IncomingMessage;
  held: boolean;
  isAwaiting: boolean;
  /** Looks since its turn began. */
  looks: number;
  /** Looks since something moved: its turn began, bytes came, the storage took them. */
  quietLooks: number;
  /** performance.now() when its turn began. */
  since: number;
  /** Whether a turn has passed without a byte since the last bytes came. */
  inVain: boolean;
  /** Whether its stream was asked for what came along with its head. */
  wasRead: boolean;
  /** What came along with its head and was put aside. */
  parked: Parked | undefined;
}

export interface BodyTurnsOptions {
  /** Bodies that are read at the same time. */
  most?: number;
  /** Requests that may wait without anything of theirs being parked. */
  mostInMemory?: number;
  /** Where bytes wait that came along with a head. */
  parking: ParkedBytes;
}

/**
 * Takes large bodies in turns. A request waits for its first turn with nothing but its head in memory; its body stays in the
 * network's buffers, and what came along with the head is parked when many wait. Whoever has a turn and does not use it, or has used it for long, gives way to those who wait, and queues
 * again: many slow clients are all served, and a few that have stalled hold nobody up.
 */
export class BodyTurns {
  readonly #most: number;
  readonly #mostInMemory: number;
  readonly #parking: ParkedBytes;
  readonly #holders = new Set<Place>();
  /** Whoever waits, in the order of coming, and what to do when it is their turn. */
  readonly #queue = new Map<Place, () => void>();
  readonly #places = new WeakMap<IncomingMessage, Place>();
  #watch: NodeJS.Timeout | undefined;

  constructor({ most = MOST_AT_ONCE, mostInMemory = MOST_IN_MEMORY, parking }: BodyTurnsOptions) {
    this.#most = most;
    this.#mostInMemory = mostInMemory;
    this.#parking = parking;
  }

  /** How many wait for their turn. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Resolves when it is the request's turn, for the first time. Nothing is read ahead. Call `end` after it. */
  async begin(request: IncomingMessage): Promise<void> {
    const place = makePlace(request, {
      wait: (waiting) => this.#wait(waiting),
      takeEarly: (waiting) => this.#takeEarly(waiting),
    });
    this.#places.set(request, place);
    request.socket.pause(); // until somebody reads the body
    readInTurns(request, place);
    // What came along with the head is told right after it.
    if (this.#holders.size >= this.#most && this.#queue.size >= this.#mostInMemory)
      process.nextTick(() => this.#park(place));
    await place.wait();
  }

  #park(place: Place): void {
    const { request } = place;
    if (place.held || request.destroyed) return;
    const early: unknown = request.read();
    place.wasRead = true;
    // Reading has asked for more, which takes effect in a tick of its own.
    process.nextTick(() => {
      if (!place.held) request.socket.pause();
    });
    if (!Buffer.isBuffer(early)) return;
    place.parked = this.#parking.park(early);
    if (place.parked === undefined) request.unshift(early);
  }

  #takeEarly(place: Place): Promise<Buffer> | undefined {
    const { parked, wasRead, request } = place;
    // The stream still waits for what it has asked for; nobody else will ask the socket.
    if (wasRead) request.socket.resume();
    if (parked === undefined) return undefined;
    place.parked = undefined;
    return this.#parking.take(parked);
  }

  /** The request is answered, or its client has gone. */
  end(request: IncomingMessage): void {
    const place = this.#places.get(request);
    if (place === undefined) return;
    this.#places.delete(request);
    if (place.parked !== undefined) this.#parking.drop(place.parked);
    place.parked = undefined;
    const proceed = this.#queue.get(place);
    this.#queue.delete(place);
    place.held = true; // whoever still reads meets the end of the connection
    proceed?.();
    if (this.#holders.delete(place)) this.#admit();
  }

  async #wait(place: Place): Promise<void> {
    if (place.held) return;
    if (this.#holders.size < this.#most) {
      this.#queue.delete(place);
      this.#grant(place);
      return;
    }
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#enqueue(place, () => resolve(undefined));
    await promise;
  }

  #enqueue(place: Place, proceed: () => void): void {
    this.#queue.set(place, proceed);
    this.#watch ??= setInterval(() => this.#makeWay(), LOOK_EVERY_MS).unref();
  }

  #grant(place: Place): void {
    place.held = true;
    place.since = performance.now();
    place.looks = 0;
    place.quietLooks = 0;
    this.#holders.add(place);
  }

  #admit(): void {
    for (const [place, proceed] of this.#queue) {
      if (this.#holders.size >= this.#most) return;
      this.#queue.delete(place);
      this.#grant(place);
      proceed();
    }
    if (this.#queue.size > 0) return;
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  /** For those who wait, and not more than they are. */
  #makeWay(): void {
    let wanted = this.#queue.size;
    for (const place of this.#holders) {
      place.looks += 1;
      place.quietLooks += 1;
      if (wanted === 0 || !givesWay(place)) continue;
      wanted -= 1;
      place.held = false;
      this.#holders.delete(place);
      if (!place.isAwaiting) continue; // it queues when it comes back from its storage
      if (place.quietLooks >= STALLED_LOOKS) place.inVain = true;
      place.request.socket.pause();
      this.#enqueue(place, () => place.request.socket.resume());
    }
    this.#admit();
  }
}

function givesWay({ isAwaiting, looks, quietLooks }: Place): boolean {
  if (!isAwaiting) return quietLooks >= STUCK_LOOKS;
  return quietLooks >= STALLED_LOOKS || looks >= SLICE_LOOKS;
}

interface Turns {
  wait: (place: Place) => Promise<void>;
  takeEarly: (place: Place) => Promise<Buffer> | undefined;
}

function makePlace(request: IncomingMessage, { wait, takeEarly }: Turns): Place {
  const place: Place = {
    request,
    held: false,
    isAwaiting: false,
    looks: 0,
    quietLooks: 0,
    since: 0,
    inVain: false,
    wasRead: false,
    parked: undefined,
    wait: () => wait(place),
    takeEarly: () => takeEarly(place),
    awaitsClient(awaits) {
      place.isAwaiting = awaits;
      place.quietLooks = 0;
      if (!awaits) place.inVain = false;
    },
    get isStalled() {
      return place.inVain || (place.held && performance.now() - place.since >= LISTENED_MS);
    },
  };
  return place;
}
