import type { TftpSource } from '../source.ts';

/** A file in memory, or of any size when it is made of a function of the position. */
export function memorySource(content: Uint8Array, known = true): TftpSource {
  return {
    size: known ? content.length : null,
    async readInto(buffer, position) {
      const piece = content.subarray(position, position + buffer.length);
      buffer.set(piece);
      return piece.length;
    },
    close() {},
  };
}
