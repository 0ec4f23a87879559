import { noteCalm, noteWait, review } from './demand.ts';
import { clientLimit } from './pacer-state.ts';
import type { Ask, PacedClient, PacedTransfer, Pacer } from './pacer-state.ts';
import type { ThrottleSettings } from './settings.ts';
import { TagHeap } from './tag-heap.ts';
import {
  BYTES_PER_MS_OF_MBPS,
  changeLimit,
  fullBucket,
  isFull,
  isOpen,
  opensAt,
  rateLimit,
} from './token-bucket.ts';
import { refill } from './token-bucket.ts';
import {
  activate,
  chargeBlock,
  clientTime,
  deactivate,
  entitlement,
  startTag,
  tagClient,
} from './virtual-time.ts';

/** A block is at most so much time of its transfer's share, so that shares are even over short times too. */
const SHARE_BLOCK_MS = 20;
/** Unless the budget is smaller: with less, the cost of a block outweighs its bytes. */
const MIN_SHARED_BLOCK_BYTES = 4096;
/** Timers and rounding know nothing finer. */
const MIN_STEP_MS = 0.05;

/** What `advance` found out. */
export interface Advance<A extends Ask> {
  /** In the order in which they may go. */
  granted: A[];
  /** When to call again, in ms of the caller's clock; `null` when nothing waits. */
  nextAt: number | null;
}

/** Lets a transfer take part. `size` is that of the whole file, `null` when unknown. */
export function register<A extends Ask>(
  pacer: Pacer<A>,
  options: { client: string; size: number | null },
  now: number,
): PacedTransfer<A> {
  const client = clientOf(pacer, options.client, now);
  client.transfers += 1;
  return {
    client,
    size: options.size,
    sent: 0,
    streams: 0,
    asks: [],
    tag: 0,
    order: 0,
    place: -1,
    finishTag: clientTime(pacer, client),
    share: 0,
    shareOfClient: 0,
    demand: Infinity,
    demandOfClient: Infinity,
    activeSince: now,
    granted: 0,
    waited: 0,
    waitsSince: now,
  };
}

/** Ends a transfer. Its share is free at once; asks that still wait are given back and are never granted. */
export function unregister<A extends Ask>(pacer: Pacer<A>, transfer: PacedTransfer<A>, now: number): A[] {
  const { client } = transfer;
  const dropped = transfer.asks.splice(0);
  if (dropped.length > 0) stopWaiting(pacer, transfer, now);
  deactivate(pacer, transfer);
  client.transfers -= 1;
  if (client.transfers === 0) leave(pacer, client, now);
  return dropped;
}

/** Frees the share of a transfer that has nothing to send for now. It keeps its account, so it cannot gain by it. */
export function rest(pacer: Pacer<Ask>, transfer: PacedTransfer<Ask>): void {
  if (transfer.asks.length === 0) deactivate(pacer, transfer);
}

/**
 * Takes the bytes if nobody waits and the budget has some left over from the last look at the clock. This is the
 * whole cost of pacing while the budget is out of reach.
 */
export function takeFree<A extends Ask>(pacer: Pacer<A>, transfer: PacedTransfer<A>, bytes: number): boolean {
  // With somebody waiting lately, shares are being watched, and that takes the clock.
  if (pacer.contended || pacer.bucket.tokens <= 0) return false;
  const clientBucket = transfer.client.bucket;
  if (clientBucket !== undefined) {
    if (clientBucket.tokens <= 0) return false;
    clientBucket.tokens -= bytes;
  }
  pacer.bucket.tokens -= bytes;
  return true;
}

/**
 * Asks to send bytes at once. True: they may go. False: `advance` will grant the ask in its turn; the asks of one
 * transfer are granted in their order.
 */
export function ask<A extends Ask>(
  pacer: Pacer<A>,
  transfer: PacedTransfer<A>,
  request: A,
  now: number,
): boolean {
  const { client } = transfer;
  refill(pacer.bucket, now);
  noteCalm(pacer, now);
  if (client.bucket !== undefined) refill(client.bucket, now);
  const clientOpen = client.bucket === undefined || isOpen(client.bucket);
  if (pacer.ready.size === 0 && transfer.asks.length === 0 && clientOpen && isOpen(pacer.bucket)) {
    grant(pacer, transfer, request.bytes, startTag(pacer, transfer), now);
    return true;
  }
  noteWait(pacer, now);
  transfer.asks.push(request);
  if (transfer.asks.length === 1) {
    pacer.order += 1;
    transfer.order = pacer.order;
    transfer.tag = startTag(pacer, transfer);
    transfer.waitsSince = now;
    activate(pacer, transfer, now);
    client.waiting.push(transfer);
    placeClient(pacer, client);
  }
  return false;
}

/** Takes back an ask that waits. False when it does not wait (any more). */
export function withdraw<A extends Ask>(
  pacer: Pacer<A>,
  transfer: PacedTransfer<A>,
  request: A,
  now: number,
): boolean {
  const index = transfer.asks.indexOf(request);
  if (index === -1) return false;
  transfer.asks.splice(index, 1);
  if (transfer.asks.length === 0) stopWaiting(pacer, transfer, now);
  return true;
}

/** Grants what may go by now, the smallest start tag first, and tells when to call again. O(log n) per grant. */
export function advance<A extends Ask>(pacer: Pacer<A>, now: number): Advance<A> {
  const granted: A[] = [];
  refill(pacer.bucket, now);
  noteCalm(pacer, now);
  if (pacer.contended && now >= pacer.reviewAt) review(pacer, now);
  for (let client = pacer.heldBack.peek(); client !== undefined && client.tag <= now;) {
    pacer.heldBack.remove(client);
    placeClient(pacer, client);
    client = pacer.heldBack.peek();
  }
  for (let client = pacer.ready.peek(); client !== undefined; client = pacer.ready.peek()) {
    pacer.lastWaitAt = now;
    if (!isOpen(pacer.bucket)) break;
    if (client.bucket !== undefined) refill(client.bucket, now);
    if (client.bucket !== undefined && !isOpen(client.bucket)) {
      pacer.ready.remove(client);
      client.tag = opensAt(client.bucket);
      client.heldBack = true;
      pacer.heldBack.push(client);
      continue;
    }
    const transfer = client.waiting.peek();
    const request = transfer?.asks.shift();
    // A client is ready only while one of its transfers waits, and that one only while it has an ask.
    if (transfer === undefined || request === undefined) break;
    grant(pacer, transfer, request.bytes, transfer.tag, now);
    granted.push(request);
    if (transfer.asks.length === 0) {
      stopWaiting(pacer, transfer, now);
    } else {
      transfer.tag = transfer.finishTag;
      client.waiting.update(transfer);
      placeClient(pacer, client);
    }
  }
  return { granted, nextAt: nextTime(pacer, now) };
}

/** Applies new settings at once, to what waits too. */
export function reconfigure(pacer: Pacer<Ask>, settings: ThrottleSettings, now: number): void {
  changeLimit(pacer.bucket, rateLimit(settings.budgetMbps), now);
  pacer.floor = settings.minTransferMbps * BYTES_PER_MS_OF_MBPS;
  const limit = clientLimit(settings);
  pacer.clientLimit = limit;
  for (const client of pacer.clients.values()) {
    if (limit === undefined) client.bucket = undefined;
    else if (client.bucket === undefined) client.bucket = fullBucket(limit, now);
    else changeLimit(client.bucket, limit, now);
    if (pacer.heldBack.has(client)) {
      pacer.heldBack.remove(client);
      placeClient(pacer, client);
    }
    if (client.transfers === 0) leave(pacer, client, now);
  }
  review(pacer, now);
}

/** The most bytes that the transfer should ask for next: small enough for an even pace, large when nobody waits. */
export function blockBytes(pacer: Pacer<Ask>, transfer: PacedTransfer<Ask>): number {
  const most = Math.min(pacer.bucket.limit.blockBytes, pacer.clientLimit?.blockBytes ?? Infinity);
  if (!pacer.contended) return most;
  const ofShare = Math.floor(
    (presentShare(pacer, transfer) * SHARE_BLOCK_MS) / Math.max(1, transfer.streams),
  );
  return Math.min(most, Math.max(MIN_SHARED_BLOCK_BYTES, ofShare));
}

/** What the transfer is entitled to now, in bytes per second; less than the budget only while there are others. */
export function shareOf(pacer: Pacer<Ask>, transfer: PacedTransfer<Ask>): number {
  const share = pacer.contended ? presentShare(pacer, transfer) : pacer.bucket.limit.bytesPerMs;
  return 1000 * Math.min(share, pacer.clientLimit?.bytesPerMs ?? Infinity);
}

/** Bytes per ms. Many who came since the last review make it less than the level says. */
function presentShare(pacer: Pacer<Ask>, transfer: PacedTransfer<Ask>): number {
  const budget = pacer.bucket.limit.bytesPerMs;
  const rate = entitlement(pacer, transfer);
  return (budget * rate) / Math.max(budget, pacer.activeShares - transfer.share + rate);
}

function grant<A extends Ask>(
  pacer: Pacer<A>,
  transfer: PacedTransfer<A>,
  bytes: number,
  start: number,
  now: number,
): void {
  pacer.bucket.tokens -= bytes;
  if (transfer.client.bucket !== undefined) transfer.client.bucket.tokens -= bytes;
  if (pacer.contended) chargeBlock(pacer, transfer, bytes, start, now);
}

/** The last ask of a transfer is gone from its queue. */
function stopWaiting<A extends Ask>(pacer: Pacer<A>, transfer: PacedTransfer<A>, now: number): void {
  transfer.waited += now - Math.max(transfer.waitsSince, transfer.activeSince);
  transfer.client.waiting.remove(transfer);
  placeClient(pacer, transfer.client);
}

/** Puts a client where it belongs after what waits of it changed. */
function placeClient<A extends Ask>(pacer: Pacer<A>, client: PacedClient<A>): void {
  const first = client.waiting.peek();
  if (pacer.heldBack.has(client)) {
    if (first === undefined) pacer.heldBack.remove(client);
    return;
  }
  if (first === undefined) {
    if (pacer.ready.has(client)) pacer.ready.remove(client);
    return;
  }
  tagClient(pacer, client, first);
  if (pacer.ready.has(client)) pacer.ready.update(client);
  else pacer.ready.push(client);
}

function nextTime(pacer: Pacer<Ask>, now: number): number | null {
  const budgetAt = pacer.ready.size > 0 ? opensAt(pacer.bucket) : Infinity;
  const next = Math.min(budgetAt, pacer.heldBack.peek()?.tag ?? Infinity);
  return next === Infinity ? null : Math.max(next, now + MIN_STEP_MS);
}

function clientOf<A extends Ask>(pacer: Pacer<A>, name: string, now: number): PacedClient<A> {
  forgetOne(pacer, now);
  const known = pacer.clients.get(name);
  if (known !== undefined) {
    pacer.leaving.delete(known);
    return known;
  }
  const client: PacedClient<A> = {
    name,
    bucket: pacer.clientLimit === undefined ? undefined : fullBucket(pacer.clientLimit, now),
    transfers: 0,
    waiting: new TagHeap(),
    virtualTime: pacer.virtualTime,
    offset: 0,
    activeShares: 0,
    heldBack: false,
    tag: 0,
    order: 0,
    place: -1,
  };
  pacer.clients.set(name, client);
  return client;
}

/** Forgets a client without transfers, or later when it owes: a new transfer must not free it of its debt. */
function leave<A extends Ask>(pacer: Pacer<A>, client: PacedClient<A>, now: number): void {
  if (client.bucket !== undefined) refill(client.bucket, now);
  if (client.bucket !== undefined && !isFull(client.bucket)) {
    pacer.leaving.add(client);
    return;
  }
  pacer.leaving.delete(client);
  pacer.clients.delete(client.name);
}

/** Looks at one of the clients that leave, in turn. Called for each one that comes, so they do not pile up. */
function forgetOne(pacer: Pacer<Ask>, now: number): void {
  for (const client of pacer.leaving) {
    pacer.leaving.delete(client);
    leave(pacer, client, now);
    return;
  }
}
