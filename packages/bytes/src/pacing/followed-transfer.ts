import { randomUUID } from 'node:crypto';
import type { Ask, PacedTransfer, Pacer } from './pacer-state.ts';
import { shareOf } from './present-share.ts';
import { RateMeter } from './rate-meter.ts';
import type { TransferOutcome, TransferProtocol, TransferView } from './transfer-view.ts';
import { priorityOf } from './virtual-time.ts';

/** What is sent by whom, and what hangs on it. */
export interface TransferSource<Meta> {
  /** Who receives, for example the IP address. */
  client: string;
  path: string;
  protocol: TransferProtocol;
  /** Bytes of the whole file, not of the range; `null` when unknown. */
  size: number | null;
  /** Handed through to the views; that of the first stream counts. */
  meta: Meta;
}

/** A block that waits for its turn. */
export interface WaitingBlock extends Ask {
  /** ms of the throttle's clock. */
  readonly askedAt: number;
  /** Ends the waiting: the block may go, or it is refused. */
  settle(now: number, refusal?: Error): void;
}

/** The progress of all streams of one (client, path). */
export class FollowedTransfer<Meta, Stream> {
  readonly id = randomUUID();
  /** Of its (protocol, client, path). */
  readonly key: string;
  readonly source: TransferSource<Meta>;
  readonly paced: PacedTransfer<WaitingBlock>;
  readonly startedAt = new Date();
  readonly streams = new Set<Stream>();
  readonly meter: RateMeter;
  waitedMs = 0;
  requests = 0;
  aborted = 0;
  lastOutcome: TransferOutcome = { outcome: 'aborted' };
  /** When it is finished for lack of streams, ms. */
  leaseEndsAt = Infinity;
  progressAt: number;
  finished = false;

  constructor(key: string, source: TransferSource<Meta>, paced: PacedTransfer<WaitingBlock>, now: number) {
    this.key = key;
    this.source = source;
    this.paced = paced;
    this.meter = new RateMeter(now);
    this.progressAt = now;
  }

  get isDelivered(): boolean {
    return this.source.size !== null && this.paced.sent >= this.source.size;
  }

  view(pacer: Pacer<Ask>, now: number): TransferView<Meta> {
    const { client, path, protocol, size, meta } = this.source;
    const bytes = this.paced.sent;
    const rate = this.meter.rate(now);
    const remaining = size === null ? null : Math.max(0, size - bytes);
    return {
      id: this.id,
      client,
      path,
      protocol,
      size,
      bytes,
      rate,
      priority: priorityOf(this.paced),
      share: shareOf(pacer, this.paced),
      etaSeconds: remaining === 0 ? 0 : remaining === null || rate < 1 ? null : remaining / rate,
      startedAt: this.startedAt,
      waitingMs: this.paced.asks.reduce((sum, block) => sum + (now - block.askedAt), this.waitedMs),
      streams: this.streams.size,
      requests: this.requests,
      aborted: this.aborted,
      meta,
    };
  }
}
