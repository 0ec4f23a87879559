import { HoldfastError } from '@holdfast/contract/errors';
import { AckPolling } from './ack-polling.ts';
import { BlockFeed } from './block-feed.ts';
import type { Endpoint } from './endpoint.ts';
import { asHoldfastError, errorReply } from './error-reply.ts';
import type { FeedBuffers } from './feed-buffers.ts';
import type { Negotiated } from './options.ts';
import {
  ackBlock,
  DATA_HEADER_BYTES,
  encodeError,
  encodeOack,
  parsePacket,
  writeDataHeader,
} from './packets.ts';
import { Session, type SessionAction, type SessionLimits } from './session.ts';
import type { TftpSource, TransferOutcome } from './source.ts';

/** Payload bytes that are asked of the pacer at once; small enough for even gaps at a low rate. */
const paceBytes = 16 * 1024;
/** Milliseconds after an ACK for which the next one is polled for. */
const pollMs = 0.2;

export interface TransferOptions {
  source: TftpSource;
  agreed: Negotiated;
  limits: SessionLimits;
  /** Milliseconds before the first repetition, unless the client asked for another timeout. */
  timeoutMs: number;
  buffers: FeedBuffers;
  endpoint: Endpoint;
  /** Called once; everything is given back by then but the source, which is closed after the last read. */
  onEnd: (outcome: TransferOutcome, error: HoldfastError | undefined) => void;
  /** The source is closed too. */
  onClosed: () => void;
  /** Closing the source failed; the transfer itself has ended already. */
  onProblem: (error: HoldfastError) => void;
}

/** One transfer: carries out what its session decides, with the blocks of its feed, over its endpoint. */
export class Transfer {
  readonly #options: TransferOptions;
  readonly #session: Session;
  readonly #feed: BlockFeed;
  readonly #endpoint: Endpoint;
  readonly #source: TftpSource;
  readonly #blksize: number;
  /** One for each packet that may be with the socket at the same time. */
  readonly #headers: Buffer[] = [];
  #last: number | undefined;
  #size: number | null;
  #delivered = 0;
  /** Whether a burst is still with the socket: its buffers must not change. */
  #bursting = false;
  #pacing = false;
  /** Bytes that the pacer has granted and that are not sent yet. */
  #credit = 0;
  readonly #acks: AckPolling;
  #pollUntil = 0;
  #pollingNow = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #sendError: Error | undefined;
  #ending: (() => void) | undefined;

  constructor(options: TransferOptions) {
    const { source, agreed } = options;
    this.#options = options;
    this.#endpoint = options.endpoint;
    this.#source = source;
    this.#blksize = agreed.blksize;
    this.#acks = new AckPolling(agreed.windowsize);
    this.#session = new Session(
      {
        blksize: agreed.blksize,
        windowsize: agreed.windowsize,
        oack: agreed.accepted.length > 0,
        size: source.size,
        timeoutMs: agreed.timeoutMs ?? options.timeoutMs,
      },
      options.limits,
    );
    this.#size = source.size;
    if (source.size !== null) this.#last = Math.floor(source.size / agreed.blksize) + 1;
    this.#feed = new BlockFeed({
      source,
      blksize: agreed.blksize,
      buffers: options.buffers,
      onReady: () => this.#pump(),
      onLastBlock: (block, bytes) => {
        this.#last = block;
        this.#size = bytes;
        this.#session.lastBlock(block);
      },
      onFailure: (error) => this.fail(asHoldfastError(error, 'The file could not be read.')),
    });
  }

  /** Bytes of the file that the client has acknowledged. */
  get delivered(): number {
    return this.#delivered;
  }

  /** Whether the client has ever answered. */
  get answered(): boolean {
    return this.#session.answered;
  }

  /** Whether the client has not answered in time and is being asked again. */
  get stalled(): boolean {
    return this.#session.stalled;
  }

  start(): void {
    this.#perform(this.#session.start(performance.now()));
  }

  /** A packet from the client. What does not belong into a transfer is ignored: anyone can send it. */
  receive(packet: Uint8Array): void {
    const block = ackBlock(packet);
    if (block >= 0) {
      const now = performance.now();
      const actions = this.#session.ack(block, now);
      if (actions.length === 0) return;
      this.#countDelivered();
      this.#perform(actions);
      this.#awaitAck(now);
      return;
    }
    const parsed = parsePacket(packet);
    if (parsed.kind === 'error') this.#perform(this.#session.clientError(parsed.code, parsed.message));
  }

  /** The client's port is closed, or it has started over. */
  clientGone(reason: string): void {
    this.#perform(this.#session.clientGone(reason));
  }

  /** Ends the transfer with an error on both sides. */
  fail(error: HoldfastError): void {
    this.#perform(this.#session.fail(error.message, errorReply(error)), error);
  }

  /** The socket reported an error that belongs to no packet in particular. */
  socketError(error: Error): void {
    if ('code' in error && error.code === 'ECONNREFUSED') this.clientGone('The client has closed its port.');
    // Anything else is like a lost packet: it is repeated, and is the reason when that does not help.
    else this.#sendError = error;
  }

  #perform(actions: readonly SessionAction[], error?: HoldfastError): void {
    for (const action of actions) {
      if (action.type === 'send-blocks') this.#pump();
      else if (action.type === 'send-oack') this.#send(encodeOack(this.#options.agreed.accepted));
      else this.#end(action, error);
    }
    if (!this.#session.ended) this.#arm();
  }

  /** Sends what the window, the feed and the pacer allow, in one burst. */
  #pump(): void {
    const session = this.#session;
    if (session.ended || this.#bursting) return;
    this.#feed.acknowledged(session.acked);
    const first = session.next;
    let next = first;
    let payload = next <= session.windowEnd ? this.#feed.block(next) : undefined;
    while (payload !== undefined && this.#mayPass(payload.length)) {
      const upcoming: Buffer | undefined = next < session.windowEnd ? this.#feed.block(next + 1) : undefined;
      // The last one of a burst tells when the buffers of all are free, as packets leave in order.
      const last = upcoming === undefined || (this.#paced && upcoming.length > this.#credit);
      this.#sendBlock(next, next - first, payload, last);
      next += 1;
      payload = last ? undefined : upcoming;
    }
    if (next > first) session.blocksSent(next - 1, performance.now());
    // With a burst on its way the next blocks are loaded when it has left, not to change its buffers.
    else if (next <= session.windowEnd && !this.#pacing) {
      this.#feed.load(next, session.answered ? undefined : this.#blksize);
    }
    this.#arm();
  }

  get #paced(): boolean {
    return this.#source.pace !== undefined;
  }

  /** Whether so many bytes may be sent now; if not, the pacer has been asked, and pumps when it answers. */
  #mayPass(bytes: number): boolean {
    if (!this.#paced || bytes <= this.#credit) {
      if (this.#paced) this.#credit -= bytes;
      return true;
    }
    if (this.#pacing) return false;
    const asked = Math.max(bytes - this.#credit, Math.min(paceBytes, this.#windowBytes()));
    const waiting = this.#askPacer(asked);
    if (waiting === undefined) {
      this.#credit += asked - bytes;
      return true;
    }
    this.#pacing = true;
    waiting.then(
      () => {
        this.#pacing = false;
        this.#credit += asked;
        this.#pump();
      },
      (error: unknown) => {
        this.#pacing = false;
        this.fail(asHoldfastError(error, 'The transfer could not be paced.'));
      },
    );
    return false;
  }

  /** A pacer that throws at once is one whose promise rejects. */
  #askPacer(bytes: number): Promise<void> | void {
    try {
      return this.#source.pace?.(bytes);
    } catch (error) {
      return Promise.reject(asHoldfastError(error, 'The transfer could not be paced.'));
    }
  }

  /** Bytes of the present window that are still to be sent, rounded up to blocks. */
  #windowBytes(): number {
    return (this.#session.windowEnd - this.#session.next + 1) * this.#blksize;
  }

  #sendBlock(block: number, slot: number, payload: Buffer, last: boolean): void {
    const header = (this.#headers[slot] ??= Buffer.alloc(DATA_HEADER_BYTES));
    writeDataHeader(header, block);
    if (!last) {
      this.#endpoint.send([header, payload]);
      return;
    }
    this.#bursting = true;
    this.#endpoint.send([header, payload], this.#onBurstSent);
  }

  readonly #onBurstSent = (error: Error | null): void => {
    this.#bursting = false;
    this.#ending?.();
    if (error) this.socketError(error);
    if (this.#session.ended) return;
    const { acked, answered, stalled, next, windowEnd } = this.#session;
    this.#feed.acknowledged(acked);
    // A client that is being asked again may never come back; it does not hold memory meanwhile.
    if (stalled && next > windowEnd) this.#feed.release();
    else if (answered) this.#feed.readAhead(this.#last);
    if (next <= windowEnd) this.#pump();
  };

  #send(packet: Buffer): void {
    this.#endpoint.send([packet], (error) => {
      if (error) this.socketError(error);
    });
  }

  /** Keeps the event loop from going to sleep for a moment, where that makes the transfer faster. */
  #awaitAck(now: number): void {
    this.#acks.ack(now);
    if (!this.#acks.polling) return;
    this.#pollUntil = now + pollMs;
    if (this.#pollingNow) return;
    this.#pollingNow = true;
    setImmediate(this.#poll);
  }

  readonly #poll = (): void => {
    this.#pollingNow = !this.#session.ended && performance.now() < this.#pollUntil;
    if (this.#pollingNow) setImmediate(this.#poll);
  };

  #countDelivered(): void {
    const bytes = this.#session.acked * this.#blksize;
    const delivered = Math.min(bytes, this.#size ?? bytes);
    if (delivered > this.#delivered) this.#source.delivered?.(delivered - this.#delivered);
    this.#delivered = delivered;
  }

  /** One timer that is moved only when it fires: an ACK costs no timer of its own. */
  #arm(): void {
    const { deadline } = this.#session;
    if (this.#timerAt <= deadline) return;
    clearTimeout(this.#timer);
    this.#timerAt = deadline;
    this.#timer = setTimeout(this.#onTimer, Math.max(1, deadline - performance.now()));
  }

  readonly #onTimer = (): void => {
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#perform(this.#session.tick(performance.now()));
  };

  #end(end: Extract<SessionAction, { type: 'end' }>, error?: HoldfastError): void {
    clearTimeout(this.#timer);
    const { outcome } = end;
    const fine = outcome === 'completed' || outcome === 'probed';
    const reason = fine ? undefined : (error ?? this.#reasonOf(outcome, end.reason));
    const finish = (): void => {
      this.#endpoint.close();
      void this.#closeSource(outcome, reason);
      this.#options.onEnd(outcome, reason);
    };
    if (end.reply !== undefined) {
      // Packets leave in order: a burst that is still with the socket has left before this one.
      this.#endpoint.send([encodeError(end.reply.code, end.reply.message)], finish);
    } else if (this.#bursting) {
      this.#ending = finish;
    } else {
      finish();
    }
  }

  #reasonOf(outcome: TransferOutcome, reason: string): HoldfastError {
    const code = outcome === 'failed' ? 'backend_unavailable' : 'cancelled';
    return new HoldfastError(code, reason, { cause: this.#sendError });
  }

  async #closeSource(outcome: TransferOutcome, error: HoldfastError | undefined): Promise<void> {
    try {
      await this.#feed.close();
      await this.#source.close(outcome, error);
    } catch (failure) {
      this.#options.onProblem(asHoldfastError(failure, 'The file could not be closed.'));
    }
    this.#options.onClosed();
  }
}
