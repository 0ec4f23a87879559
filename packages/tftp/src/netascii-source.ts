import { encodeNetascii, type PendingByte } from './netascii.ts';
import type { TftpSource } from './source.ts';

/** A place in the encoded bytes, and what stands there in the file. */
interface Checkpoint {
  encoded: number;
  raw: number;
  pending: PendingByte;
}

const scratchBytes = 16 * 1024;
/** Places that are remembered to go back to; a transfer never goes back further than two reads. */
const keptCheckpoints = 8;

/**
 * A file as netascii: positions are those of the encoded bytes. The size is not known before the end, because it
 * depends on how many line ends there are.
 */
export function netasciiSource(file: TftpSource): TftpSource {
  const checkpoints: Checkpoint[] = [];

  /** The nearest known place at or before a position. */
  function placeBefore(position: number): Checkpoint {
    const known = checkpoints.findLast((checkpoint) => checkpoint.encoded <= position);
    return known === undefined ? { encoded: 0, raw: 0, pending: -1 } : { ...known };
  }

  function remember(place: Checkpoint): void {
    while ((checkpoints.at(-1)?.encoded ?? -1) >= place.encoded) checkpoints.pop();
    checkpoints.push({ ...place });
    if (checkpoints.length > keptCheckpoints) checkpoints.shift();
  }

  return {
    size: null,
    async readInto(buffer, position) {
      const place = placeBefore(position);
      const scratch = Buffer.allocUnsafe(scratchBytes);
      const skipped = Buffer.allocUnsafe(place.encoded < position ? scratchBytes : 0);
      let written = 0;
      for (let end = false; !end && written < buffer.length;) {
        const before = position - place.encoded;
        const target = before > 0 ? skipped.subarray(0, before) : buffer.subarray(written);
        const read = await file.readInto(scratch, place.raw);
        // What is read is encoded as far as it fits; the rest is read again, so nothing else has to be kept.
        const step = encodeNetascii(scratch.subarray(0, read), target, place.pending);
        place.raw += step.read;
        place.encoded += step.written;
        place.pending = step.pending;
        if (before <= 0) written += step.written;
        end = read === 0 && step.written === 0;
      }
      remember(place);
      return written;
    },
    pace: file.pace === undefined ? undefined : (bytes) => file.pace?.(bytes),
    delivered: file.delivered === undefined ? undefined : (bytes) => file.delivered?.(bytes),
    close: (outcome, error) => file.close(outcome, error),
  };
}
