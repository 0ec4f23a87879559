import { createHash, randomBytes } from 'node:crypto';

/** Type "random" (RFC 7143 §11.12.5): the first byte says so, the others are free. */
const randomType = 0x80;

function isidOf(bytes: Uint8Array): Buffer {
  return Buffer.from([randomType, ...bytes.subarray(0, 5)]);
}

/** For a session that stands beside others of the same name. */
export function randomIsid(): Buffer {
  return isidOf(randomBytes(5));
}

/** For a session that takes the place of an earlier one: the same six bytes for the same purpose. */
export function isidFor(purpose: string): Buffer {
  return isidOf(createHash('sha256').update(purpose).digest());
}
