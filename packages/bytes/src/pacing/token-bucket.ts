/** 1 Mbit/s in bytes per millisecond. */
export const BYTES_PER_MS_OF_MBPS = 125;
/** What may leave in any second beyond the rate, as time of the rate: 2 % of a second. */
const EXCESS_MS = 20;
/** One block takes at most so much time of the rate; the rest of the excess is the burst. */
const BLOCK_MS = 8;
/** The payload of a packet: to send less at once only costs headers. */
const MIN_BLOCK_BYTES = 1400;
const MAX_BLOCK_BYTES = 512 * 1024;

/** A rate, and what it means for single blocks. */
export interface RateLimit {
  bytesPerMs: number;
  /** The most bytes to ask for at once. */
  blockBytes: number;
  /** The most bytes that may be saved up. */
  burstBytes: number;
}

/**
 * A rate as a limit that holds over any second: saved-up bytes and the last block together are 2 % of a second. Below
 * 0.6 Mbit/s a single packet is more than that.
 */
export function rateLimit(mbps: number): RateLimit {
  const bytesPerMs = mbps * BYTES_PER_MS_OF_MBPS;
  const blockBytes = Math.min(MAX_BLOCK_BYTES, Math.max(MIN_BLOCK_BYTES, Math.floor(bytesPerMs * BLOCK_MS)));
  return { bytesPerMs, blockBytes, burstBytes: Math.max(0, bytesPerMs * EXCESS_MS - blockBytes) };
}

/**
 * Bytes that may leave now. A block goes when the bucket is not in debt and may bring it into debt, which is paid
 * before the next one. So a block of any size can go, and any time T sees rate·T + burst + one block at most.
 */
export interface TokenBucket {
  limit: RateLimit;
  /** Negative: debt. It may be out of date, then it is too low. */
  tokens: number;
  /** ms of the caller's clock. */
  filledAt: number;
}

export function fullBucket(limit: RateLimit, now: number): TokenBucket {
  return { limit, tokens: limit.burstBytes, filledAt: now };
}

export function refill(bucket: TokenBucket, now: number): void {
  const elapsed = now - bucket.filledAt;
  if (elapsed <= 0) return;
  bucket.tokens = Math.min(bucket.limit.burstBytes, bucket.tokens + elapsed * bucket.limit.bytesPerMs);
  bucket.filledAt = now;
}

/** Whether a block may go. A debt below one byte is rounding. */
export function isOpen(bucket: TokenBucket): boolean {
  return bucket.tokens > -1;
}

export function isFull(bucket: TokenBucket): boolean {
  return bucket.tokens >= bucket.limit.burstBytes;
}

/** The time in ms at which the bucket has paid its debt. */
export function opensAt(bucket: TokenBucket): number {
  return bucket.filledAt + Math.max(0, -bucket.tokens) / bucket.limit.bytesPerMs;
}

/** Changes the rate. What is saved or owed keeps its length in time, so that no old debt stalls a lower rate. */
export function changeLimit(bucket: TokenBucket, limit: RateLimit, now: number): void {
  refill(bucket, now);
  const scaled = (bucket.tokens * limit.bytesPerMs) / bucket.limit.bytesPerMs;
  bucket.tokens = Math.min(limit.burstBytes, scaled);
  bucket.limit = limit;
}
