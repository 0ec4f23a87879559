import type { Ask, PacedTransfer, Pacer } from './pacer-state.ts';
import { entitlement } from './virtual-time.ts';

/** A block is at most so much time of its transfer's share, so that shares are even over short times too. */
const SHARE_BLOCK_MS = 20;
/** Unless the budget is smaller: with less, the cost of a block outweighs its bytes. */
const MIN_SHARED_BLOCK_BYTES = 4096;
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
