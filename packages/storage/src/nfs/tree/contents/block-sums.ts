import { crc32 } from 'node:zlib';

/** Pieces that are remembered at most; a client that sends millions of tiny ones must not fill the memory. */
const MAX_PIECES = 20_000;

export interface Block {
  /** Bytes. */
  length: number;
  crc: number;
}

/** The sum of a block of bytes. */
export function blockOf(bytes: Uint8Array): Block {
  return { length: bytes.byteLength, crc: crc32(bytes) };
}

export function isBlock(block: Block, bytes: Uint8Array): boolean {
  return bytes.byteLength === block.length && crc32(bytes) === block.crc;
}

interface Piece {
  end: number;
  /** Where its blocks begin. */
  starts: number[];
}

/**
 * Sums of what was sent, by which a byte that was changed on its way is seen when the bytes are read again. Forgotten
 * with the process: what is not known here has to be read twice.
 */
export class BlockSums {
  readonly #pieces = new Map<number, Piece>();
  readonly #blocks = new Map<number, Block>();

  /** Remembers the blocks of a piece, which follow each other, in place of whatever was known of these bytes. */
  note(position: number, blocks: readonly Block[]): void {
    const piece: Piece = { end: position, starts: [] };
    for (const { length } of blocks) {
      piece.starts.push(piece.end);
      piece.end += length;
    }
    this.forget(position, piece.end);
    if (this.#pieces.size >= MAX_PIECES || piece.end === position) return;
    this.#pieces.set(position, piece);
    for (const [index, block] of blocks.entries()) this.#blocks.set(piece.starts[index] ?? position, block);
  }

  /** Forgets the pieces that have bytes between two positions. */
  forget(start: number, end: number): void {
    for (const [position, piece] of this.#pieces) {
      if (position >= end || piece.end <= start) continue;
      this.#pieces.delete(position);
      for (const each of piece.starts) this.#blocks.delete(each);
    }
  }

  /** The block that begins at a position. */
  at(position: number): Block | undefined {
    return this.#blocks.get(position);
  }
}
