import { LentBuffers } from '@holdfast/bytes/lent-buffers';
import type { PieceSink } from '../../contents/receiving.ts';

/** Of the whole process: all pieces on their way to local files share 16 MiB. */
const buffers = new LentBuffers({ bufferBytes: 256 * 1024, count: 64 });

export interface PieceTarget {
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Makes durable what was written. */
  sync(): Promise<void>;
}

/**
 * Writes one piece to its place in a file. Small chunks are gathered into a buffer of the shared ones while the last buffer
 * is being written. A buffer is taken when bytes have come, and written half full as soon as somebody else needs it, so
 * that a source that stalls holds none.
 */
export class PieceWriter implements PieceSink {
  readonly #target: PieceTarget;
  readonly #length: number | undefined;
  /** Where the next bytes go that are not gathered yet. */
  #position: number;
  #taken = 0;
  #filling: Buffer | undefined;
  #filled = 0;
  #inFlight = 0;
  #writing: Promise<void> = Promise.resolve();
  #takeOfferBack: (() => void) | undefined;

  /** @param length bytes that will come, when it is known */
  constructor(target: PieceTarget, position: number, length?: number) {
    this.#target = target;
    this.#position = position;
    this.#length = length;
  }

  async append(chunk: Uint8Array): Promise<void> {
    this.#takeOfferBack?.();
    this.#takeOfferBack = undefined;
    this.#taken += chunk.byteLength;
    for (let rest = chunk; rest.byteLength > 0;) {
      // What is large already, or all that there is, gains nothing from being copied.
      const isLast = this.#taken === this.#length;
      if (this.#filling === undefined && (rest.byteLength >= buffers.bufferBytes || isLast)) {
        await this.#writing;
        await this.#target.write(rest, this.#position);
        this.#position += rest.byteLength;
        break;
      }
      // One is written while the other one fills; a third is not taken.
      if (this.#filling === undefined && this.#inFlight > 1) await this.#writing;
      this.#filling ??= await buffers.take();
      const length = Math.min(buffers.bufferBytes - this.#filled, rest.byteLength);
      this.#filling.set(rest.subarray(0, length), this.#filled);
      this.#filled += length;
      rest = rest.subarray(length);
      if (this.#filled === buffers.bufferBytes) {
        await this.#writing;
        this.#flush();
      }
    }
    if (this.#filling !== undefined) this.#takeOfferBack = buffers.offer(() => this.#flush());
  }

  async finish(): Promise<void> {
    this.#takeOfferBack?.();
    this.#flush();
    await this.#writing;
    await this.#target.sync();
  }

  async release(): Promise<void> {
    this.#takeOfferBack?.();
    if (this.#filling !== undefined) buffers.give(this.#filling);
    this.#filling = undefined;
    await this.#writing.catch(() => undefined);
  }

  #flush(): void {
    const buffer = this.#filling;
    if (buffer === undefined) return;
    const bytes = buffer.subarray(0, this.#filled);
    const position = this.#position;
    this.#position += this.#filled;
    this.#filling = undefined;
    this.#filled = 0;
    this.#inFlight += 1;
    this.#writing = this.#writing
      .then(() => this.#target.write(bytes, position))
      .finally(() => {
        this.#inFlight -= 1;
        buffers.give(buffer);
      });
    // The failure is met at the next await; until then it must not count as unhandled.
    this.#writing.catch(() => undefined);
  }
}
