/** From the end of a check that passed to the next one. */
export const CHECK_INTERVAL_MS = 60_000;
/** From a check that failed to the next one; it doubles with every failure in a row. */
export const FIRST_RETRY_MS = 5_000;
export const LONGEST_RETRY_MS = 300_000;
/** By how much a retry may come early, so that many backends of one server do not come back at one moment. */
const JITTER = 0.2;
/** From the end of a check to one that comes sooner than planned. */
export const LEAST_GAP_MS = 5_000;

/** When a backend is checked next. Times are in ms of one clock, which only goes forward. */
export interface CheckPlan {
  /** Checks that have failed in a row. */
  readonly failures: number;
  /** When the last one ended. */
  readonly checkedAt: number;
  readonly nextAt: number;
}

/**
 * The plan after a check.
 * @param failuresBefore checks that had failed in a row before this one; 0 when somebody asked for it
 * @param now when the check ended
 * @param random 0 to 1
 */
export function planAfter(isOk: boolean, failuresBefore: number, now: number, random: number): CheckPlan {
  if (isOk) return { failures: 0, checkedAt: now, nextAt: now + CHECK_INTERVAL_MS };
  const failures = failuresBefore + 1;
  const delayMs = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LONGEST_RETRY_MS);
  return { failures, checkedAt: now, nextAt: now + delayMs * (1 - JITTER * random) };
}

/**
 * The plan once a request has failed as if the backend were away: the next check comes soon after the last one. A
 * backend that is known to fail keeps its plan, or those who ask for its files would undo the backoff.
 */
export function planInDoubt(plan: CheckPlan, now: number): CheckPlan {
  return plan.failures > 0 ? plan : planSoon(plan, now);
}

/** The plan once there is reason to believe that the next check will find something else than the last one. */
export function planSoon(plan: CheckPlan, now: number): CheckPlan {
  return { ...plan, nextAt: Math.min(plan.nextAt, Math.max(now, plan.checkedAt + LEAST_GAP_MS)) };
}
