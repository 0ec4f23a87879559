import type { Ask, PacedClient, PacedTransfer, Pacer } from './pacer-state.ts';
import { transferPriority } from './priority.ts';
import { shareAt } from './shares.ts';

/**
 * How far in ms a transfer that comes back may start behind the virtual time. It forgives the moment that a sender
 * needs between two blocks; without it the heaviest transfers would lose part of their share to the others.
 */
const FORGIVEN_MS = 40;

/** The priority of a transfer now, 1 to 32. A transfer that sends parts of its file again has no known end. */
export function priorityOf(transfer: PacedTransfer<Ask>): number {
  const { size, sent } = transfer;
  return transferPriority(size === null || sent > size ? null : size - sent);
}

/** What a transfer is entitled to when others want the budget too, bytes per ms. */
export function entitlement(pacer: Pacer<Ask>, transfer: PacedTransfer<Ask>): number {
  return shareAt(pacer.level, { weight: priorityOf(transfer) });
}

/** The virtual time of a client: it goes as that of the pacer, but slower while the client is held back. */
export function clientTime(pacer: Pacer<Ask>, client: PacedClient<Ask>): number {
  return Math.min(client.virtualTime, pacer.virtualTime - client.offset);
}

/** The start tag of a block that a transfer asks for now, in the virtual time of its client. */
export function startTag(pacer: Pacer<Ask>, transfer: PacedTransfer<Ask>): number {
  return Math.max(transfer.finishTag, clientTime(pacer, transfer.client) - FORGIVEN_MS);
}

/** Puts the tag of a waiting client to that of its first transfer. A client that was away loses what it missed. */
export function tagClient(pacer: Pacer<Ask>, client: PacedClient<Ask>, first: PacedTransfer<Ask>): void {
  const missed = pacer.virtualTime - FORGIVEN_MS - (first.tag + client.offset);
  if (missed > 0) client.offset += missed;
  client.tag = first.tag + client.offset;
  client.order = first.order;
}

/**
 * Accounts for a block that starts at the tag: it moves the transfer's finish tag by bytes ÷ rate, and the virtual
 * times by bytes ÷ (shares of all that are active), as in fair queueing by start tags (P. Goyal, H. Vin, H. Cheng,
 * "Start-time Fair Queueing", SIGCOMM 1996). There the virtual time is the start tag in service alone, and an endless
 * row of newcomers, who all start at the virtual time, would stop it and starve the rest.
 */
export function chargeBlock(
  pacer: Pacer<Ask>,
  transfer: PacedTransfer<Ask>,
  bytes: number,
  start: number,
  now: number,
): void {
  const { client } = transfer;
  const rate = entitlement(pacer, transfer);
  activate(pacer, transfer, now);
  countShare(pacer, transfer, rate);
  transfer.granted += bytes;
  transfer.finishTag = start + bytes / rate;
  // With the own rate as the least, virtual time never overtakes the tags of the only one that sends.
  const all = Math.max(rate, pacer.activeShares);
  const ofClient = Math.max(rate, client.activeShares);
  pacer.virtualTime = Math.max(pacer.virtualTime + bytes / all, start + client.offset);
  client.virtualTime = Math.max(client.virtualTime + bytes / ofClient, start);
}

/** Counts a transfer among those that share the budget, until a review finds that it asks no more. */
export function activate(pacer: Pacer<Ask>, transfer: PacedTransfer<Ask>, now: number): void {
  if (pacer.active.has(transfer)) return;
  pacer.active.add(transfer);
  transfer.demand = Infinity;
  transfer.demandOfClient = Infinity;
  transfer.activeSince = now;
  transfer.granted = 0;
  transfer.waited = 0;
  countShare(pacer, transfer, entitlement(pacer, transfer));
}

export function deactivate(pacer: Pacer<Ask>, transfer: PacedTransfer<Ask>): void {
  if (!pacer.active.delete(transfer)) return;
  countShare(pacer, transfer, 0);
}

/** Counts a transfer that is entitled to `rate` (bytes per ms) in the sums of the shares. */
export function countShare(pacer: Pacer<Ask>, transfer: PacedTransfer<Ask>, rate: number): void {
  const { client } = transfer;
  const share = Math.min(transfer.demand, rate);
  const shareOfClient = Math.min(transfer.demandOfClient, rate);
  // Rounding must not leave less than the share of a transfer that is there.
  pacer.activeShares = Math.max(share, pacer.activeShares + share - transfer.share);
  client.activeShares = Math.max(shareOfClient, client.activeShares + shareOfClient - transfer.shareOfClient);
  transfer.share = share;
  transfer.shareOfClient = shareOfClient;
}
