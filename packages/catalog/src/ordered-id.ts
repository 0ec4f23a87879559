import { randomFillSync } from 'node:crypto';

const ID_BYTES = 16;
/** Random bytes for some ids at once: asking for them costs more than all the rest. */
const pool = Buffer.alloc(64 * ID_BYTES);
let used = pool.byteLength;

/**
 * A UUID of version 7 (RFC 9562 §5.7): ids made one after the other are neighbours in an index, which saves a page write for
 * nearly each row that is inserted.
 * @param at milliseconds since 1970; what does not fit into 48 bits is cut off
 */
export function orderedId(at: number): string {
  if (used === pool.byteLength) {
    randomFillSync(pool);
    used = 0;
  }
  const bytes = pool.subarray(used, (used += ID_BYTES));
  bytes.writeUIntBE(Math.max(0, at) % 2 ** 48, 0, 6);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x70, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
