/** What a transfer weighs, and the most it can take (in the unit of the budget; left out: anything). */
export interface Claim {
  weight: number;
  cap?: number;
}

export interface ShareOptions {
  /** What there is to share, for example in bytes per second. */
  budget: number;
  /** What each transfer gets at least, if it can take it and all floors together fit into the budget. */
  floor: number;
  transfers: readonly Claim[];
}

/**
 * The state of the water when it stands: a transfer of weight w gets max(`floor`, `perWeight` · w), or less if it
 * cannot take so much.
 */
export interface WaterLevel {
  floor: number;
  /** Infinite when the budget satisfies everybody. */
  perWeight: number;
}

/**
 * Weighted max-min shares: r = min(cap, max(floor, λ·weight)), with λ such that Σ r = min(budget, Σ cap). So what one
 * transfer cannot take is handed on to the others in proportion to their weights. When the floors together exceed
 * the budget, weights no longer count and the level is the same for all. (Progressive filling: D. Bertsekas and
 * R. Gallager, Data Networks, 2nd ed., §6.5.2.)
 */
export function waterLevel(options: ShareOptions): WaterLevel {
  const { budget, floor, transfers } = options;
  let atFloor = 0;
  let atCap = 0;
  for (const { cap = Infinity } of transfers) {
    atFloor += Math.min(cap, floor);
    atCap += cap;
  }
  if (atCap <= budget) return { floor, perWeight: Infinity };
  if (atFloor < budget) return { floor, perWeight: fill(budget, floor, transfers) };
  const even = transfers.map(({ cap = Infinity }): Claim => ({ weight: 1, cap }));
  return { floor: fill(budget, 0, even), perWeight: 0 };
}

/** The share that a level means for one transfer. */
export function shareAt(level: WaterLevel, { weight, cap = Infinity }: Claim): number {
  return Math.min(cap, Math.max(level.floor, level.perWeight * weight));
}

/** The shares of all transfers, in their order and in the unit of the budget; see `waterLevel`. */
export function weightedShares(options: ShareOptions): number[] {
  const level = waterLevel(options);
  return options.transfers.map((claim) => shareAt(level, claim));
}

/**
 * Raises λ from 0 until the budget is used up. Σ r over λ is a line with a bend wherever a transfer leaves its floor
 * or reaches its cap. The floors must fit into the budget and the caps must exceed it.
 */
function fill(budget: number, floor: number, transfers: readonly Claim[]): number {
  const bends: { at: number; slope: number }[] = [];
  let used = 0;
  for (const { weight, cap = Infinity } of transfers) {
    used += Math.min(cap, floor);
    if (cap <= floor) continue;
    bends.push({ at: floor / weight, slope: weight });
    if (cap < Infinity) bends.push({ at: cap / weight, slope: -weight });
  }
  bends.sort((a, b) => a.at - b.at);
  let level = 0;
  let slope = 0;
  for (const bend of bends) {
    const next = used + slope * (bend.at - level);
    if (next >= budget) break;
    used = next;
    level = bend.at;
    slope += bend.slope;
  }
  return level + (budget - used) / slope;
}
