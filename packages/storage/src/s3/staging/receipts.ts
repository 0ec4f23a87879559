import { isSha256Hex } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import type { ReceivedPiece } from '../../contents.ts';

/** A piece as the bucket has it. */
export interface SentPiece {
  start: number;
  end: number;
  /** Lower-case hex. */
  sha256: string;
  etag: string;
}

/** What the caller keeps of a piece: the SHA-256 of its bytes, and the ETag that S3 wants back. */
export function receiptOf(sha256: string, etag: string): string {
  return `${sha256}:${etag}`;
}

/** @throws HoldfastError `internal` for a receipt that is none of ours */
export function sentPieceOf({ position, bytes, receipt }: ReceivedPiece): SentPiece {
  const sha256 = receipt?.slice(0, 64);
  const etag = receipt?.slice(65);
  if (!isSha256Hex(sha256) || etag === undefined || etag === '') {
    const text = `The receipt of the bytes from ${position} is lost. Begin the upload anew.`;
    throw new HoldfastError('internal', text);
  }
  return { start: position, end: position + bytes, sha256, etag };
}
