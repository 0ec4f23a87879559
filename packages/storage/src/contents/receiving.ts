import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { SourceReader } from '@holdfast/bytes/source-reader';
import { HoldfastError } from '@holdfast/contract/errors';
import type { Received, ReceiveOptions, StagedUploadKey } from '../contents.ts';

/** Where the bytes of one piece go, in order. */
export interface PieceSink {
  /** Takes bytes in; waits while there is no room. Their memory is the caller's again when it resolves. */
  append(chunk: Uint8Array): Promise<void>;
  /** Resolves when everything that was taken in is durable. */
  finish(): Promise<void>;
  /** Resolves when nothing of it is under way and its buffers are given back. Never rejects. */
  release(): Promise<void>;
}

/** How a piece of an upload is called in errors. */
export function pieceLabel(upload: Pick<StagedUploadKey, 'id'>, position: number): string {
  return `Receiving the upload ${upload.id} at byte ${position}`;
}

/**
 * Takes one piece of an upload from its source to a sink, as `StagedUpload.receive` promises it. Nothing that exceeds the
 * length, the limit or the size of the upload is handed on.
 * @throws HoldfastError `incomplete_body`, `too_large`, `checksum_mismatch`, `cancelled`; an error of the source unchanged
 */
export async function receivePiece(
  upload: StagedUploadKey,
  position: number,
  source: AsyncIterable<Uint8Array>,
  options: ReceiveOptions,
  sink: PieceSink,
): Promise<Received> {
  const doing = pieceLabel(upload, position);
  const digest = new StreamDigest();
  let isBroken = false;
  try {
    await using reader = new SourceReader(source, options.signal, doing);
    for (;;) {
      const chunk = await reader.next().catch((error: unknown) => {
        if (options.keepPartial !== true) throw error;
        isBroken = true;
      });
      if (chunk === undefined) break;
      requireRoom(upload, position, digest.bytes + chunk.byteLength, options);
      digest.update(chunk);
      // Waited for even when the caller has gone: whoever sends these bytes next must not meet writes of this one.
      await sink.append(chunk);
      options.onProgress?.(digest.bytes);
    }
    const isComplete = !isBroken && isWhole(upload, position, digest.bytes, options);
    if (isComplete) requireDigest(doing, digest.hex(), options);
    await sink.finish();
    if (options.keepPartial !== true) throwIfCancelled(options.signal, doing);
    return { bytes: digest.bytes, sha256: digest.hex(), complete: isComplete };
  } finally {
    await sink.release();
  }
}

/** @throws HoldfastError `too_large` before a byte is written that does not belong there */
function requireRoom(
  upload: StagedUploadKey,
  position: number,
  bytes: number,
  { length, limit }: ReceiveOptions,
): void {
  const room = Math.min(
    length ?? limit ?? Number.POSITIVE_INFINITY,
    (upload.size ?? Number.MAX_SAFE_INTEGER) - position,
  );
  if (bytes <= room) return;
  const text = `More bytes came for the upload ${upload.id} at byte ${position} than the ${room} that belong there.`;
  throw new HoldfastError('too_large', `${text} Send exactly those.`);
}

/** @throws HoldfastError `incomplete_body` when fewer came than were announced, unless a part is welcome too */
function isWhole(
  upload: StagedUploadKey,
  position: number,
  bytes: number,
  { length, keepPartial }: ReceiveOptions,
): boolean {
  if (length === undefined || bytes === length) return true;
  if (keepPartial === true) return false;
  const text = `Only ${bytes} of ${length} bytes came for the upload ${upload.id} at byte ${position}. Send them again.`;
  throw new HoldfastError('incomplete_body', text);
}

function requireDigest(doing: string, sha256: string, { expectedSha256 }: ReceiveOptions): void {
  if (expectedSha256 === undefined || sha256 === expectedSha256) return;
  const text = `${doing}: SHA-256 ${expectedSha256} was announced, but the bytes have ${sha256}. Send them again.`;
  throw new HoldfastError('checksum_mismatch', text);
}
