import { createHash } from 'node:crypto';
import type { SpooledPart } from './spooled-part.ts';

/**
 * The SHA-256 of a spooled upload, computed while its parts are read to be sent. A part that is sent before its turn stays
 * in the spool until then, unless its room is needed: then the digest is lost.
 */
export class SpooledDigest {
  readonly #parts: ReadonlyMap<number, SpooledPart>;
  readonly #whole = createHash('sha256');
  #hashed = 0;
  #hashedParts = 0;
  #isLost = false;
  #turn: Promise<void> = Promise.resolve();

  /** @param parts by their numbers */
  constructor(parts: ReadonlyMap<number, SpooledPart>) {
    this.#parts = parts;
  }

  /** Bytes of the whole that are hashed; 0 when the digest is lost. */
  get hashed(): number {
    return this.#isLost ? 0 : this.#hashed;
  }

  /** Lower-case hex; undefined unless exactly so many bytes were hashed. */
  ofWhole(size: number): string | undefined {
    return this.hashed === size ? this.#whole.copy().digest('hex') : undefined;
  }

  /** The SHA-256 of a part; the whole takes it in with it when it is its turn. */
  async ofPart(part: SpooledPart, end: number): Promise<string> {
    return this.#inTurn(() => this.#hash(part, end));
  }

  /** A part was sent: lets its file go, at once or when its turn has come. */
  async settle(part: SpooledPart, end: number): Promise<void> {
    if (this.#isLost || this.#hashed >= end) part.dropFile();
    else part.allowEviction(() => this.lose());
    await this.#inTurn(() => this.#catchUp());
  }

  /** Gives up, and lets the files of all parts go that are sent. */
  lose(): void {
    this.#isLost = true;
    for (const part of this.#parts.values()) if (part.sent !== undefined) part.dropFile();
  }

  /** One after the other, so that parts come in order when they can. */
  async #inTurn<T>(hash: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    try {
      return await hash();
    } finally {
      resolve();
    }
  }

  async #catchUp(): Promise<void> {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      next.part.forbidEviction();
      // The part is with S3: that it cannot be read here any more costs only the digest.
      await this.#hash(next.part, next.end).catch(() => this.lose());
      next.part.dropFile();
    }
  }

  #next(): { part: SpooledPart; end: number } | undefined {
    const part = this.#parts.get(this.#hashedParts + 1);
    if (this.#isLost || part?.sent === undefined || !part.isSpooled) return undefined;
    return { part, end: part.sent.end };
  }

  async #hash(part: SpooledPart, end: number): Promise<string> {
    const { start, number } = part.place;
    const isTurn = !this.#isLost && start === this.#hashed;
    const digest = createHash('sha256');
    await using use = await part.use();
    try {
      for await (const chunk of use.file.chunks(0, end - start)) {
        digest.update(chunk);
        if (isTurn) this.#whole.update(chunk);
      }
    } catch (error) {
      if (isTurn) this.lose();
      throw error;
    }
    const sha256 = digest.digest('hex');
    // A part that could not be sent may have been received anew since.
    if (part.hashedAs !== undefined && part.hashedAs !== sha256) this.lose();
    if (isTurn) {
      part.hashedAs = sha256;
      this.#hashed = end;
      this.#hashedParts = number;
    }
    return sha256;
  }
}
