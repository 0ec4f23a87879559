const LF = 0x0a;
const CR = 0x0d;
const NUL = 0x00;

/** The second byte of a pair that did not fit any more, or -1. */
export type PendingByte = -1 | 0x00 | 0x0a;

/** How far an encoding step came. */
export interface NetasciiStep {
  /** Bytes taken from the input. */
  read: number;
  /** Bytes put into the output. */
  written: number;
  /** To be given to the next step, which puts it out first. */
  pending: PendingByte;
}

/**
 * Encodes a piece of a file as netascii (RFC 764 by way of RFC 1350 §1): LF becomes CR LF, CR becomes CR NUL.
 * It stops when the input is used up or the output is full; a pair may be cut in two at the end of the output.
 */
export function encodeNetascii(input: Uint8Array, output: Uint8Array, pending: PendingByte): NetasciiStep {
  let read = 0;
  let written = 0;
  let rest: PendingByte = pending;
  while (written < output.length) {
    if (rest !== -1) {
      output[written] = rest;
      written += 1;
      rest = -1;
      continue;
    }
    const byte = input[read];
    if (byte === undefined) break;
    read += 1;
    output[written] = byte === LF ? CR : byte;
    written += 1;
    if (byte === LF) rest = LF;
    else if (byte === CR) rest = NUL;
  }
  return { read, written, pending: rest };
}
