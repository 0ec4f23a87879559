import { HoldfastError } from '@holdfast/contract/errors';

/** The settings of the throttle, all in Mbit/s (1 Mbit/s = 125,000 bytes a second). */
export interface ThrottleSettings {
  /** For everything together that leaves towards machines. */
  budgetMbps: number;
  /** What each transfer gets at least, unless all of them together would exceed the budget. */
  minTransferMbps: number;
  /** The most that one client gets over all its transfers; `null`: no limit but the budget. */
  perClientMbps: number | null;
}

/** @throws HoldfastError `validation_failed` for a rate that is not a positive number (the minimum may be 0). */
export function checkSettings(settings: ThrottleSettings): void {
  const { budgetMbps, minTransferMbps, perClientMbps } = settings;
  if (!(Number.isFinite(budgetMbps) && budgetMbps > 0)) refuse('The bandwidth budget', 'above 0');
  if (!(Number.isFinite(minTransferMbps) && minTransferMbps >= 0))
    refuse('The minimum of a transfer', '0 or more');
  if (perClientMbps === null) return;
  if (!(Number.isFinite(perClientMbps) && perClientMbps > 0))
    refuse('The limit per client', 'above 0, or null');
}

function refuse(name: string, allowed: string): never {
  throw new HoldfastError('validation_failed', `${name} must be a number of Mbit/s ${allowed}.`);
}
