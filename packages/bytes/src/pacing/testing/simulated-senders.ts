import { createPacer } from '../pacer-state.ts';
import type { Ask, PacedTransfer, Pacer } from '../pacer-state.ts';
import { advance, ask, reconfigure, register, rest, unregister } from '../pacer.ts';
import { blockBytes } from '../present-share.ts';
import type { ThrottleSettings } from '../settings.ts';

/** How a sender behaves; by default it is endless, of unknown size, and asks again at once. */
export interface SenderSpec {
  /** Default: one of its own. */
  client?: string;
  /** Keeps its priority at this value, whatever it sends. */
  priority?: number;
  /** Sends so many bytes, tells its progress, and leaves. */
  size?: number;
  /** What its receiver can take. Default: anything. */
  receiverMbps?: number;
  /** From a grant to the next ask. Default 0. */
  gapMs?: number;
  startAt?: number;
  endAt?: number;
  /** Bytes of each ask, in place of what the pacer advises. */
  blockBytes?: number;
}

export interface Sender {
  readonly spec: SenderSpec;
  readonly name: string;
  paced: PacedTransfer<SenderAsk> | undefined;
  /** When it acts next: starts, asks again, or leaves. */
  nextAt: number;
  sent: number;
  /** When its receiver has taken all that was granted. */
  receiverFreeAt: number;
  doneAt: number | undefined;
}

interface SenderAsk extends Ask {
  readonly sender: Sender;
}

export interface Grant {
  at: number;
  bytes: number;
  sender: Sender;
}

/** Senders on a pacer, driven by a clock of their own that starts at 0 ms. */
export class Simulation {
  readonly pacer: Pacer<SenderAsk>;
  readonly grants: Grant[] = [];
  readonly senders: Sender[] = [];
  now = 0;
  #pacerAt = Infinity;

  constructor(settings: Partial<ThrottleSettings> & { budgetMbps: number }) {
    this.pacer = createPacer({ minTransferMbps: 1, perClientMbps: null, ...settings }, 0);
  }

  add(spec: SenderSpec = {}): Sender {
    const sender: Sender = {
      spec,
      name: `sender-${this.senders.length}`,
      paced: undefined,
      nextAt: Math.max(this.now, spec.startAt ?? 0),
      sent: 0,
      receiverFreeAt: 0,
      doneAt: undefined,
    };
    this.senders.push(sender);
    return sender;
  }

  configure(settings: ThrottleSettings): void {
    reconfigure(this.pacer, settings, this.now);
    this.#advance();
  }

  /** Lets a sender go away at once. */
  leave(sender: Sender): void {
    if (sender.paced !== undefined) unregister(this.pacer, sender.paced, this.now);
    sender.paced = undefined;
    sender.nextAt = Infinity;
    sender.doneAt = this.now;
    this.#advance();
  }

  /** Until that time in ms. `onDone` hears of each sender that has sent everything. */
  run(until: number, onDone?: (sender: Sender) => void): void {
    for (;;) {
      let next: Sender | undefined;
      for (const sender of this.senders) {
        const at = this.#wakesAt(sender);
        if (at < Infinity && (next === undefined || at < this.#wakesAt(next))) next = sender;
      }
      const at = Math.min(this.#pacerAt, next === undefined ? Infinity : this.#wakesAt(next));
      if (at > until) break;
      this.now = Math.max(this.now, at);
      if (next === undefined || this.#pacerAt < this.#wakesAt(next)) this.#advance();
      else this.#act(next, onDone);
    }
    this.now = until;
  }

  /** Bytes granted from a time (inclusive) to another (exclusive). */
  granted(from: number, to: number, sender?: Sender): number {
    let bytes = 0;
    for (const grant of this.grants) {
      if (grant.at >= from && grant.at < to && (sender === undefined || grant.sender === sender))
        bytes += grant.bytes;
    }
    return bytes;
  }

  /** The most bytes granted in any `spanMs`, of one client or all. */
  most(spanMs: number, client?: string): number {
    const grants = this.grants.filter(({ sender }) => client === undefined || sender.spec.client === client);
    let most = 0;
    let sum = 0;
    let first = 0;
    for (const grant of grants) {
      sum += grant.bytes;
      for (let old = grants[first]; old !== undefined && old.at <= grant.at - spanMs; old = grants[first]) {
        sum -= old.bytes;
        first += 1;
      }
      most = Math.max(most, sum);
    }
    return most;
  }

  #wakesAt(sender: Sender): number {
    return Math.min(sender.nextAt, sender.paced === undefined ? Infinity : (sender.spec.endAt ?? Infinity));
  }

  #act(sender: Sender, onDone?: (sender: Sender) => void): void {
    const { spec } = sender;
    if (sender.paced !== undefined && this.now >= (spec.endAt ?? Infinity)) {
      this.leave(sender);
      return;
    }
    if (spec.size !== undefined && sender.sent >= spec.size) {
      this.leave(sender);
      onDone?.(sender);
      return;
    }
    sender.paced ??= this.#register(sender);
    const advised = spec.blockBytes ?? blockBytes(this.pacer, sender.paced);
    const bytes = Math.min(advised, spec.size === undefined ? Infinity : spec.size - sender.sent);
    sender.nextAt = Infinity;
    if (ask(this.pacer, sender.paced, { bytes, sender }, this.now)) this.#onGrant(sender, bytes);
    else this.#advance();
  }

  #register(sender: Sender): PacedTransfer<SenderAsk> {
    const { client = sender.name, priority, size } = sender.spec;
    const fixed = priority === undefined ? null : (64 * 1024 * 1024) / priority;
    const paced = register(this.pacer, { client, size: size ?? fixed }, this.now);
    paced.streams = 1;
    return paced;
  }

  #advance(): void {
    const { granted, nextAt } = advance(this.pacer, this.now);
    this.#pacerAt = nextAt ?? Infinity;
    for (const { sender, bytes } of granted) this.#onGrant(sender, bytes);
  }

  #onGrant(sender: Sender, bytes: number): void {
    const { paced, spec } = sender;
    if (paced === undefined) throw new Error(`${sender.name} was granted bytes after it had left.`);
    this.grants.push({ at: this.now, bytes, sender });
    sender.sent += bytes;
    if (spec.priority === undefined) paced.sent += bytes;
    if (spec.size !== undefined && sender.sent >= spec.size) {
      sender.doneAt = this.now;
      rest(this.pacer, paced);
    }
    const takes = spec.receiverMbps === undefined ? 0 : bytes / (spec.receiverMbps * 125);
    // As `sendRange` does with its two buffers, it asks again while its receiver still takes this block.
    const begins = Math.max(this.now, sender.receiverFreeAt);
    sender.receiverFreeAt = begins + takes;
    sender.nextAt = Math.max(begins, this.now + (spec.gapMs ?? 0));
  }
}
