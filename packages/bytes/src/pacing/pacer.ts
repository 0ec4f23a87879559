import { noteCalm, noteWait, review } from './demand.ts';
import { clientLimit } from './pacer-state.ts';
import type { Ask, PacedClient, PacedTransfer, Pacer } from './pacer-state.ts';
import type { ThrottleSettings } from './settings.ts';
import { clientOf, leave } from './paced-clients.ts';
import {
  BYTES_PER_MS_OF_MBPS,
  changeLimit,
  fullBucket,
  isOpen,
  opensAt,
  rateLimit,
  refill,
} from './token-bucket.ts';
import { activate, chargeBlock, clientTime, deactivate, startTag, tagClient } from './virtual-time.ts';

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
 * Takes bytes out of the budget for something too small to be followed as a transfer. Only while nobody waits and no
 * limit per client is set: otherwise it has to take its turn like everybody. False: nothing was taken.
 */
export function takeUnfollowed(pacer: Pacer<Ask>, bytes: number, now: number): boolean {
  if (pacer.contended || pacer.clientLimit !== undefined) return false;
  if (pacer.bucket.tokens <= 0) refill(pacer.bucket, now);
  if (pacer.bucket.tokens <= 0) return false;
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
