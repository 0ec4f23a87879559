import type { Ask, PacedTransfer, Pacer } from './pacer-state.ts';
import type { Claim, WaterLevel } from './shares.ts';
import { waterLevel } from './shares.ts';
import { countShare, deactivate, entitlement, priorityOf } from './virtual-time.ts';

/** Shares are computed anew so often while anybody waits. */
const REVIEW_MS = 100;
/** The first time after a calm, when nothing is known yet. */
const FIRST_REVIEW_MS = 20;
/** After so long without anybody waiting there is enough for all. */
const CALM_MS = 250;
/** Who waits for a quarter of the time is held back by the pace, not by its receiver. */
const HELD_BACK_FRACTION = 0.25;
/** Too short a time to judge by. */
const MIN_OBSERVED_MS = 10;
/** A transfer that takes less than its share may take so much more before the next review. */
const GROWTH = 1.25;
/** Bytes per ms; the least that an active transfer counts for. */
const MIN_DEMAND = 0.01;

/** Notes that somebody has to wait now. */
export function noteWait(pacer: Pacer<Ask>, now: number): void {
  if (!pacer.contended || isCalm(pacer, now)) beginContention(pacer, now);
  pacer.lastWaitAt = now;
}

/** Notes when there has been enough for all for a while. */
export function noteCalm(pacer: Pacer<Ask>, now: number): void {
  if (pacer.contended && isCalm(pacer, now)) pacer.contended = false;
}

function isCalm(pacer: Pacer<Ask>, now: number): boolean {
  return pacer.ready.size === 0 && pacer.heldBack.size === 0 && now - pacer.lastWaitAt > CALM_MS;
}

/** What was seen during a calm says nothing about who wants more, so it is forgotten. */
function beginContention(pacer: Pacer<Ask>, now: number): void {
  for (const transfer of pacer.active) deactivate(pacer, transfer);
  pacer.contended = true;
  // High enough that no floor counts: only the proportions do until the first review.
  pacer.level = { floor: pacer.floor, perWeight: pacer.bucket.limit.bytesPerMs };
  pacer.reviewAt = now + FIRST_REVIEW_MS;
}

/** Computes the shares anew from what the active transfers took since the last time. */
export function review(pacer: Pacer<Ask>, now: number): void {
  const claims: Claim[] = [];
  for (const transfer of pacer.active) {
    if (transfer.granted === 0 && transfer.asks.length === 0) {
      deactivate(pacer, transfer);
      continue;
    }
    observeDemand(transfer, now);
    claims.push({ weight: priorityOf(transfer), cap: transfer.demand });
  }
  pacer.level = currentLevel(pacer, claims);
  pacer.reviewAt = now + REVIEW_MS;
  restart(pacer, now);
}

function currentLevel(pacer: Pacer<Ask>, claims: readonly Claim[]): WaterLevel {
  const budget = pacer.bucket.limit.bytesPerMs;
  const { floor } = pacer;
  if (claims.length === 0) return { floor, perWeight: budget };
  const level = waterLevel({ budget, floor, transfers: claims });
  if (level.perWeight < Infinity) return level;
  // Enough for all at the moment: then it is what they would get if they all wanted more.
  return waterLevel({ budget, floor, transfers: claims.map(({ weight }) => ({ weight })) });
}

/** Judges what a transfer could take from what it took and how long it waited. */
function observeDemand(transfer: PacedTransfer<Ask>, now: number): void {
  const observed = now - transfer.activeSince;
  const waits = transfer.asks.length > 0 ? now - Math.max(transfer.activeSince, transfer.waitsSince) : 0;
  const waited = transfer.waited + waits >= observed * HELD_BACK_FRACTION;
  const taken = Math.max(MIN_DEMAND, (transfer.granted / observed) * GROWTH);
  transfer.demandOfClient = observed < MIN_OBSERVED_MS || waited ? Infinity : taken;
  transfer.demand = transfer.client.heldBack && observed >= MIN_OBSERVED_MS ? taken : transfer.demandOfClient;
}

/** Begins the next time of observation. The sums are built up anew, so that roundings do not add up. */
function restart(pacer: Pacer<Ask>, now: number): void {
  pacer.activeShares = 0;
  for (const { client } of pacer.active) {
    client.activeShares = 0;
    client.heldBack = pacer.heldBack.has(client);
  }
  for (const transfer of pacer.active) {
    transfer.activeSince = now;
    transfer.granted = 0;
    transfer.waited = 0;
    transfer.share = 0;
    transfer.shareOfClient = 0;
    countShare(pacer, transfer, entitlement(pacer, transfer));
  }
}
