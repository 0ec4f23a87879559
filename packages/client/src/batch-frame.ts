import type { z } from 'zod';
import type { batchFileHeader } from '@holdfast/contract/uploads';

const LENGTH_BYTES = 4;

/** What goes before a file's bytes in a batch: the length of the header as four bytes, big-endian, then the header as JSON in UTF-8. */
export function batchHeader(header: z.input<typeof batchFileHeader>): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const framed = new Uint8Array(LENGTH_BYTES + json.byteLength);
  new DataView(framed.buffer).setUint32(0, json.byteLength);
  framed.set(json, LENGTH_BYTES);
  return framed;
}

/** Pieces one after the other; `bytes` is their length together. */
export function joined(pieces: readonly Uint8Array[], bytes: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}
