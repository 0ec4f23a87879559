import { HoldfastError } from '@holdfast/contract/errors';

/** What a caller has said about bytes before they come. */
export interface Announcement {
  /** Bytes. */
  expectedSize?: number | undefined;
  /** Lower-case hex. */
  expectedSha256?: string | undefined;
}

/**
 * For bytes that are still coming.
 * @param label how the file is called in errors
 * @param received bytes so far
 * @throws HoldfastError `incomplete_body` as soon as more came than were announced
 */
export function requireNotMore(label: string, { expectedSize }: Announcement, received: number): void {
  if (expectedSize === undefined || received <= expectedSize) return;
  const text = `${label} was announced with ${expectedSize} bytes, but more came. Nothing was changed.`;
  throw new HoldfastError('incomplete_body', text);
}

/**
 * For bytes that have come to their end.
 * @throws HoldfastError `incomplete_body` when fewer or more came than were announced
 */
export function requireSize(label: string, announced: Announcement, received: number): void {
  requireNotMore(label, announced, received);
  const { expectedSize } = announced;
  if (expectedSize === undefined || received === expectedSize) return;
  const text = `${label} was announced with ${expectedSize} bytes, but only ${received} came. Send it again.`;
  throw new HoldfastError('incomplete_body', text);
}

/**
 * For bytes that have come to their end.
 * @param sha256 of them, in lower-case hex
 * @throws HoldfastError `checksum_mismatch` when other bytes came than were announced
 */
export function requireSha256(label: string, { expectedSha256 }: Announcement, sha256: string): void {
  if (expectedSha256 === undefined || sha256 === expectedSha256) return;
  const text = `${label} was announced with SHA-256 ${expectedSha256}, but the bytes have ${sha256}.`;
  throw new HoldfastError('checksum_mismatch', `${text} Nothing was changed; send it again.`);
}
