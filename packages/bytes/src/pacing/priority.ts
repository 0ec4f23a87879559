/** A transfer with this many bytes to go, or more, has the lowest priority. */
const LARGE_BYTES = 64 * 1024 * 1024;
const LOWEST_PRIORITY = 1;
const HIGHEST_PRIORITY = 32;

/**
 * The priority of a transfer: clamp(64 MiB ÷ remaining bytes, 1, 32). It is the weight of its share.
 *
 * One rule answers two wishes, "small files first" and "nearly complete transfers first": both have few bytes to go.
 * Serving the shortest remaining time first gives the least mean completion time of any order (L. Schrage, "A Proof
 * of the Optimality of the Shortest Remaining Processing Time Discipline", Operations Research 16, 1968), but in its
 * pure form it lets large transfers starve. So it is softened twice: it sets a weight in a shared budget in place of
 * an order, and the weight stays between 1 (64 MiB and more to go) and 32 (2 MiB and less).
 *
 * @param remaining bytes to go; `null` when they are not known, which counts as large
 * @returns 1 to 32
 */
export function transferPriority(remaining: number | null): number {
  if (remaining === null) return LOWEST_PRIORITY;
  if (remaining <= 0) return HIGHEST_PRIORITY;
  return Math.min(HIGHEST_PRIORITY, Math.max(LOWEST_PRIORITY, LARGE_BYTES / remaining));
}
