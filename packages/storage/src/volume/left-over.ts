import type { StagedName } from './staging-slot.ts';

/** A staged file that nobody has written to for this long belongs to no living hub, whoever made it. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

/**
 * Whether a sweep may remove a staged file: its owner is the one who sweeps, or it is older than 24 hours. A write of
 * this process that is under way is let be.
 * @param ownerId who sweeps
 * @param modifiedMs when it was last written, in milliseconds since the epoch; undefined when that is not known
 * @param now milliseconds since the epoch
 */
export function isLeftOver(
  staged: StagedName,
  ownerId: string,
  modifiedMs: number | undefined,
  now: number,
): boolean {
  if (staged.isUnderWay) return false;
  if (staged.ownerId === ownerId) return true;
  return modifiedMs !== undefined && now - modifiedMs > abandonedAfterMs;
}
