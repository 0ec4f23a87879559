import type { XdrReader } from './reader.ts';
import type { XdrWriter } from './writer.ts';

/** Words of a bitmap that are accepted; attributes are numbered up to about 90. */
const MAX_WORDS = 8;

/** Writes a set of bit numbers as NFSv4's bitmap4. */
export function writeBitmap(writer: XdrWriter, bits: readonly number[]): void {
  const words: number[] = [];
  for (const bit of bits) {
    const word = bit >>> 5;
    while (words.length <= word) words.push(0);
    words[word] = ((words[word] ?? 0) | (1 << (bit & 31))) >>> 0;
  }
  writer.list(words, (word) => writer.u32(word));
}

/** Reads a bitmap4 as bit numbers, lowest first. @throws GarbledReply */
export function readBitmap(reader: XdrReader): number[] {
  const words = reader.list(MAX_WORDS, () => reader.u32());
  return words.flatMap((word, index) =>
    Array.from({ length: 32 }, (_, bit) => bit)
      .filter((bit) => ((word >>> bit) & 1) === 1)
      .map((bit) => index * 32 + bit),
  );
}
