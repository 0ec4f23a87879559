import { errorCodes } from './packets.ts';
import type { TransferOutcome } from './source.ts';

/** What was agreed on before the first packet. */
export interface SessionPlan {
  /** Bytes of a block. */
  blksize: number;
  /** Blocks of a window, at least 1. */
  windowsize: number;
  /** Whether the transfer starts with an OACK. */
  oack: boolean;
  /** Bytes on the wire, or null when the end is only known by reading. */
  size: number | null;
  /** Milliseconds without an answer before the first repetition. */
  timeoutMs: number;
}

/** When a session gives up. */
export interface SessionLimits {
  /** Repetitions without an answer before it gives up. */
  maxRetries: number;
  /** The same, as long as the client has not answered at all: its address may be a forged one. */
  maxUnansweredRetries: number;
  /** The backoff doubles up to this, in milliseconds (a longer timeout that the client asked for is kept). */
  maxTimeoutMs: number;
  /** Milliseconds that the next block may take to be read and paced. */
  supplyTimeoutMs: number;
}

/** What the shell has to do. Block numbers are absolute and start at 1; only their low 16 bits go on the wire. */
export type SessionAction =
  | { type: 'send-oack' }
  /** Send these blocks in order, and report each burst by `blocksSent`. It replaces what was still unsent. */
  | { type: 'send-blocks'; from: number; to: number }
  /** The end. `reply` is an error that the client is to be told. */
  | { type: 'end'; outcome: TransferOutcome; reason: string; reply?: { code: number; message: string } };

const nothing: readonly SessionAction[] = [];

/**
 * The sender's side of one transfer as a state machine: packets and a clock go in, actions come out; it does no I/O.
 * All times are milliseconds of one monotonic clock.
 *
 * An ACK moves the transfer on only when it is for a block that was sent and not yet acknowledged; sending goes on
 * after that block, which repeats what a partial ACK says is missing (RFC 7440 §4). Any other ACK, above all a
 * repeated one, sends nothing: repeating on both sides doubles every packet to the end (the Sorcerer's Apprentice,
 * RFC 1123 §4.2.3.1). What is lost is repeated by the timer alone.
 */
export class Session {
  readonly #plan: SessionPlan;
  readonly #limits: SessionLimits;
  #phase: 'oack' | 'data' | 'ended' = 'data';
  /** The last block that the client has, in order. */
  #acked = 0;
  /** The last block sent of the present window. */
  #sent = 0;
  /** The highest block ever sent: an ACK of anything above it is a forgery or a stray. */
  #highest = 0;
  #last: number | undefined;
  #answered = false;
  #retries = 0;
  #deadline = Number.POSITIVE_INFINITY;

  constructor(plan: SessionPlan, limits: SessionLimits) {
    this.#plan = plan;
    this.#limits = limits;
    if (plan.size !== null) this.#last = Math.floor(plan.size / plan.blksize) + 1;
  }

  get ended(): boolean {
    return this.#phase === 'ended';
  }
  /** The last block that the client has acknowledged, 0 before the first. */
  get acked(): number {
    return this.#acked;
  }
  /** The next block to send. */
  get next(): number {
    return this.#sent + 1;
  }
  /** The end of the present window: blocks up to here may be sent now. */
  get windowEnd(): number {
    if (this.#phase !== 'data') return 0;
    return Math.min(this.#acked + this.#plan.windowsize, this.#last ?? Number.POSITIVE_INFINITY);
  }
  /** Whether the client has sent anything that only the real one can know of. Read-ahead and buffers wait for it. */
  get answered(): boolean {
    return this.#answered;
  }
  /** Whether the client is being asked again: its buffers are better used by another. */
  get stalled(): boolean {
    return this.#retries > 0;
  }
  /** When `tick` has something to do. */
  get deadline(): number {
    return this.#deadline;
  }

  /** Starts the transfer: with the OACK, or with the first window. */
  start(now: number): readonly SessionAction[] {
    if (this.#plan.oack) {
      this.#phase = 'oack';
      this.#deadline = now + this.#timeout();
      return [{ type: 'send-oack' }];
    }
    return this.#sendWindow(now);
  }

  /** @param block the 16 bits of the packet. */
  ack(block: number, now: number): readonly SessionAction[] {
    if (this.#phase === 'ended') return nothing;
    if (this.#phase === 'oack') {
      // RFC 2347: the client confirms an OACK by an ACK of block 0.
      if (block !== 0) return nothing;
      this.#phase = 'data';
      this.#answered = true;
      this.#retries = 0;
      return this.#sendWindow(now);
    }
    const ahead = (block - this.#acked) & 0xffff;
    if (ahead === 0 || ahead > this.#highest - this.#acked) return nothing;
    this.#acked += ahead;
    this.#answered = true;
    this.#retries = 0;
    if (this.#acked === this.#last) return this.#end('completed', 'The client has the whole file.');
    return this.#sendWindow(now);
  }

  /** The client gave up. */
  clientError(code: number, message: string): readonly SessionAction[] {
    if (this.#phase === 'ended') return nothing;
    if (this.#phase === 'oack' && code === errorCodes.optionRefused) {
      return this.#end('probed', 'The client only asked for the options.');
    }
    const text = message === '' ? '' : `: ${message}`;
    return this.#end('aborted', `The client gave up with error ${code}${text}.`);
  }

  /** The client's port is closed, or it has started over. */
  clientGone(reason: string): readonly SessionAction[] {
    return this.#phase === 'ended' ? nothing : this.#end('aborted', reason);
  }

  /** The shell has put all blocks of the window up to this one on the wire. */
  blocksSent(to: number, now: number): void {
    if (this.#phase !== 'data') return;
    this.#sent = to;
    this.#highest = Math.max(this.#highest, to);
    this.#deadline = now + (to >= this.windowEnd ? this.#timeout() : this.#limits.supplyTimeoutMs);
  }

  /** Reading has come to the end of the file: this is its last block. */
  lastBlock(block: number): void {
    this.#last = block;
  }

  /** It failed here. */
  fail(reason: string, reply: { code: number; message: string }): readonly SessionAction[] {
    return this.#phase === 'ended' ? nothing : this.#end('failed', reason, reply);
  }

  /** To be called when the deadline has come; earlier calls do nothing. */
  tick(now: number): readonly SessionAction[] {
    if (this.#phase === 'ended' || now < this.#deadline) return nothing;
    if (this.#phase === 'data' && this.#sent < this.windowEnd) {
      const message = 'The storage did not deliver the file in time. Try again later.';
      return this.#end('failed', message, { code: errorCodes.undefined, message });
    }
    this.#retries += 1;
    const most = this.#answered ? this.#limits.maxRetries : this.#limits.maxUnansweredRetries;
    if (this.#retries > most) {
      const message = `The client did not answer ${most + 1} times.`;
      // Nothing more is sent to an address that never answered.
      const reply = this.#answered ? { code: errorCodes.undefined, message } : undefined;
      return this.#end('timeout', message, reply);
    }
    if (this.#phase === 'oack') {
      this.#deadline = now + this.#timeout();
      return [{ type: 'send-oack' }];
    }
    return this.#sendWindow(now);
  }

  #sendWindow(now: number): readonly SessionAction[] {
    this.#sent = this.#acked;
    this.#deadline = now + this.#limits.supplyTimeoutMs;
    return [{ type: 'send-blocks', from: this.#acked + 1, to: this.windowEnd }];
  }

  #timeout(): number {
    const { timeoutMs } = this.#plan;
    return Math.min(timeoutMs * 2 ** this.#retries, Math.max(timeoutMs, this.#limits.maxTimeoutMs));
  }

  #end(
    outcome: TransferOutcome,
    reason: string,
    reply?: { code: number; message: string },
  ): readonly SessionAction[] {
    this.#phase = 'ended';
    this.#deadline = Number.POSITIVE_INFINITY;
    return [reply === undefined ? { type: 'end', outcome, reason } : { type: 'end', outcome, reason, reply }];
  }
}
