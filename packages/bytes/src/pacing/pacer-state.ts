import type { ThrottleSettings } from './settings.ts';
import type { WaterLevel } from './shares.ts';
import { TagHeap } from './tag-heap.ts';
import type { Tagged } from './tag-heap.ts';
import { BYTES_PER_MS_OF_MBPS, fullBucket, rateLimit } from './token-bucket.ts';
import type { RateLimit, TokenBucket } from './token-bucket.ts';

/** A wish to send so many bytes at once. The caller's own data may hang on it. */
export interface Ask {
  readonly bytes: number;
}

/** A transfer as the pacer sees it. Its `tag` is the start tag of its first ask, in the virtual time of its client. */
export interface PacedTransfer<A extends Ask> extends Tagged {
  readonly client: PacedClient<A>;
  /** Bytes of the whole file; `null` when unknown. */
  readonly size: number | null;
  /** Bytes that were delivered, over all its streams. */
  sent: number;
  /** Open streams; they split the share. */
  streams: number;
  /** What waits, oldest first. */
  readonly asks: A[];
  /** Virtual time at which its last block is done. */
  finishTag: number;
  /** Bytes per ms that it counts for in `activeShares` of the pacer and of its client; 0 while it is not active. */
  share: number;
  shareOfClient: number;
  /** The most bytes per ms that it seems able to take; infinite while the budget holds it back. */
  demand: number;
  /** The same, but infinite too while only the limit of its client holds it back. */
  demandOfClient: number;
  /** Since the last review: when it became active, bytes granted, ms spent waiting. */
  activeSince: number;
  granted: number;
  waited: number;
  /** Since when asks wait, in ms; meaningless while none does. */
  waitsSince: number;
}

/**
 * A client and its own virtual time. So a limit on the client slows down all its transfers alike, and they keep
 * their proportions. While it waits, `tag` is the first start tag in the virtual time of the pacer (`virtualTime` of
 * the client + `offset`); while its limit holds it back, the time in ms at which it may go on.
 */
export interface PacedClient<A extends Ask> extends Tagged {
  readonly name: string;
  /** With a limit per client. */
  bucket: TokenBucket | undefined;
  transfers: number;
  readonly waiting: TagHeap<PacedTransfer<A>>;
  virtualTime: number;
  offset: number;
  /** Sum of the shares of its active transfers, bytes per ms. */
  activeShares: number;
  /** Whether its limit held it back since the last review. */
  heldBack: boolean;
}

/**
 * Who may send how much when. The functions of `pacer.ts` change it in place and depend on nothing but it, their
 * arguments and the time in ms (fractional, never falling) that they are given.
 */
export interface Pacer<A extends Ask> {
  /** Bytes per ms. */
  floor: number;
  clientLimit: RateLimit | undefined;
  readonly bucket: TokenBucket;
  readonly clients: Map<string, PacedClient<A>>;
  /** Clients without transfers whose bucket still remembers what they took. */
  readonly leaving: Set<PacedClient<A>>;
  /** Clients with asks that only wait for the budget, and those that their own limit holds back. */
  readonly ready: TagHeap<PacedClient<A>>;
  readonly heldBack: TagHeap<PacedClient<A>>;
  /** Numbers the transfers in the order in which they began to wait. */
  order: number;
  virtualTime: number;
  /** Transfers that asked since the last review, and the sum of their shares in bytes per ms. */
  readonly active: Set<PacedTransfer<A>>;
  activeShares: number;
  /** What a priority is worth at present, bytes per ms. */
  level: WaterLevel;
  /** Whether anybody had to wait lately. Until then nobody's share is computed. */
  contended: boolean;
  /** Times in ms. */
  lastWaitAt: number;
  reviewAt: number;
}

/** A pacer with nothing to do, its buckets full. `now` in ms. */
export function createPacer<A extends Ask>(settings: ThrottleSettings, now: number): Pacer<A> {
  const floor = settings.minTransferMbps * BYTES_PER_MS_OF_MBPS;
  const bucket = fullBucket(rateLimit(settings.budgetMbps), now);
  return {
    floor,
    clientLimit: clientLimit(settings),
    bucket,
    clients: new Map(),
    leaving: new Set(),
    ready: new TagHeap(),
    heldBack: new TagHeap(),
    order: 0,
    virtualTime: 0,
    active: new Set(),
    activeShares: 0,
    level: { floor, perWeight: bucket.limit.bytesPerMs },
    contended: false,
    lastWaitAt: -Infinity,
    reviewAt: now,
  };
}

export function clientLimit(settings: ThrottleSettings): RateLimit | undefined {
  return settings.perClientMbps === null ? undefined : rateLimit(settings.perClientMbps);
}
