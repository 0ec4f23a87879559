import { createHash } from 'node:crypto';
import type { Spool } from '../../spool/spool.ts';
import type { SpoolFile } from '../../spool/spool-file.ts';
import type { SentPiece } from './receipts.ts';

interface KeptPiece {
  piece: SentPiece;
  file: SpoolFile;
  forbidEviction: () => void;
}

/**
 * The SHA-256 of a whole, computed behind its pieces as they become a prefix without gaps. Pieces are kept in the spool
 * until their turn. Where one is missing (another hub took it, or its room was needed) it gives up.
 */
export class PrefixDigest implements AsyncDisposable {
  readonly #spool: Spool;
  readonly #kept = new Map<number, KeptPiece>();
  /** Pieces that are hashed, by their beginning. */
  readonly #hashedPieces = new Map<number, string>();
  readonly #hash = createHash('sha256');
  #hashed = 0;
  #target = 0;
  #isLost = false;
  #running: Promise<void> | undefined;

  constructor(spool: Spool) {
    this.#spool = spool;
  }

  /** Bytes of the whole that are hashed. */
  get hashed(): number {
    return this.#hashed;
  }

  /** Takes over a piece that is stored, with its file and its room in the spool. */
  keep(piece: SentPiece, file: SpoolFile): void {
    const earlier = this.#kept.get(piece.start);
    if (earlier !== undefined) this.#drop(earlier);
    const hashed = this.#hashedPieces.get(piece.start);
    const isReplaced = piece.start < this.#hashed && hashed !== piece.sha256;
    const kept: KeptPiece = { piece, file, forbidEviction: () => undefined };
    this.#kept.set(piece.start, kept);
    if (isReplaced || this.#isLost) this.#giveUp();
    else if (piece.start < this.#hashed) this.#drop(kept);
    else kept.forbidEviction = this.#spool.allowEviction(() => this.#giveUp());
  }

  /** All bytes up to `end` have been received, here or elsewhere. */
  grew(end: number): void {
    this.#target = Math.max(this.#target, end);
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /**
   * The SHA-256 of the whole, if it was computed from these very pieces.
   * @param pieces all of them, in order
   */
  async digestOf(pieces: readonly SentPiece[]): Promise<string | undefined> {
    const size = pieces.at(-1)?.end ?? 0;
    this.grew(size);
    while (this.#running !== undefined) await this.#running;
    if (this.#isLost || this.#hashed !== size) return undefined;
    const isSame = pieces.every(({ start, sha256 }) => this.#hashedPieces.get(start) === sha256);
    return isSame ? this.#hash.copy().digest('hex') : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#giveUp();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isLost && this.#hashed < this.#target) {
      const next = this.#kept.get(this.#hashed);
      if (next === undefined) this.#giveUp();
      else await this.#take(next);
    }
  }

  async #take(kept: KeptPiece): Promise<void> {
    const { start, end, sha256 } = kept.piece;
    // From now on the file is in use, and goes when it has been read.
    kept.forbidEviction();
    this.#kept.delete(start);
    try {
      for await (const chunk of kept.file.chunks(0, end - start)) this.#hash.update(chunk);
      this.#hashed = end;
      this.#hashedPieces.set(start, sha256);
    } catch {
      // What the spool cannot give back is read from the bucket when the upload is sealed.
      this.#giveUp();
    } finally {
      this.#drop(kept);
    }
  }

  #giveUp(): void {
    this.#isLost = true;
    for (const kept of this.#kept.values()) this.#drop(kept);
  }

  #drop(kept: KeptPiece): void {
    const { start, end } = kept.piece;
    kept.forbidEviction();
    if (this.#kept.get(start) === kept) this.#kept.delete(start);
    this.#spool.give(end - start);
    // Nothing was promised about a nameless file: that it cannot be closed harms nobody.
    kept.file[Symbol.asyncDispose]().catch(() => undefined);
  }
}
