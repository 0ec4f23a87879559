import { LentBuffers } from '@holdfast/bytes/lent-buffers';
import { HoldfastError } from '@holdfast/contract/errors';
import type { PieceSink } from '../../../contents/receiving.ts';
import { nfsError } from '../../failure.ts';
import { blockOf } from './block-sums.ts';
import type { Block } from './block-sums.ts';

/** Of the whole process: all pieces on their way to NFS servers share 32 MiB. */
const buffers = new LentBuffers({ bufferBytes: 512 * 1024, count: 64 });
/** Buffers of one piece from which on they are made durable, so that they come free. */
const COMMIT_FROM = 8;
/** Buffers that one piece holds at most. */
const MAX_HELD = 16;
/** Rounds of sending again after the server has lost what was not yet durable. */
const MAX_ROUNDS = 20;

/** The open file of an upload. */
export interface SendTarget {
  readonly maxWriteBytes: number;
  /** Writes bytes that are not durable until a `commit` answers with the same verifier. */
  write(offset: number, bytes: Uint8Array): Promise<{ written: number; verifier: string }>;
  /** Makes durable what was written. @returns the verifier of the server's present life */
  commit(): Promise<string>;
}

interface Sent {
  position: number;
  bytes: Buffer;
  buffer: Buffer;
  /** The verifier of the server's life in which it was written. */
  writing: Promise<string>;
}

/**
 * Sends one piece to its place in a file: several requests at once, and every buffer kept until the server has made it
 * durable in the same life in which it was written. A server that lost it gets it again. While the source stalls, or when
 * others need the buffers, what was sent is made durable, so that they come free.
 */
export class PieceSender implements PieceSink {
  /** Of what was sent, in order. */
  readonly blocks: Block[] = [];
  readonly #target: SendTarget;
  readonly #label: string;
  readonly #held = new Set<Sent>();
  #position: number;
  #filling: Buffer | undefined;
  #filled = 0;
  #draining: Promise<void> | undefined;
  #takeOfferBack: (() => void) | undefined;

  /** @param label how the piece is called in errors, as a gerund */
  constructor(target: SendTarget, position: number, label: string) {
    this.#target = target;
    this.#position = position;
    this.#label = label;
  }

  async append(chunk: Uint8Array): Promise<void> {
    this.#takeOfferBack?.();
    this.#takeOfferBack = undefined;
    for (let rest = chunk; rest.byteLength > 0;) {
      if (this.#held.size >= COMMIT_FROM) this.#letGo();
      if (this.#held.size >= MAX_HELD) await this.#drain();
      const buffer = (this.#filling ??= await this.#take());
      const room = Math.min(buffer.byteLength, this.#target.maxWriteBytes) - this.#filled;
      const length = Math.min(room, rest.byteLength);
      buffer.set(rest.subarray(0, length), this.#filled);
      this.#filled += length;
      rest = rest.subarray(length);
      if (length === room) this.#send();
    }
    if (this.#filling !== undefined || this.#held.size > 0) {
      this.#takeOfferBack = buffers.offer(() => {
        this.#send();
        this.#letGo();
      });
    }
  }

  async finish(): Promise<void> {
    this.#takeOfferBack?.();
    this.#send();
    while (this.#held.size > 0) await this.#drain();
  }

  async release(): Promise<void> {
    this.#takeOfferBack?.();
    await this.#draining?.catch(() => undefined);
    await Promise.allSettled([...this.#held].map(({ writing }) => writing));
    for (const { buffer } of this.#held) buffers.give(buffer);
    this.#held.clear();
    if (this.#filling !== undefined) buffers.give(this.#filling);
    this.#filling = undefined;
  }

  async #take(): Promise<Buffer> {
    // Whoever waits while holding buffers could be waiting for itself.
    const takeOfferBack = this.#held.size > 0 ? buffers.offer(() => this.#letGo()) : undefined;
    try {
      return await buffers.take();
    } finally {
      takeOfferBack?.();
    }
  }

  #send(): void {
    const buffer = this.#filling;
    if (buffer === undefined) return;
    const bytes = buffer.subarray(0, this.#filled);
    const position = this.#position;
    this.#held.add({ position, bytes, buffer, writing: this.#write(position, bytes) });
    this.blocks.push(blockOf(bytes));
    this.#position += this.#filled;
    this.#filling = undefined;
    this.#filled = 0;
  }

  #write(position: number, bytes: Buffer): Promise<string> {
    const writing = this.#writeAll(position, bytes);
    // Its failure is met when it is drained; until then it must not count as unhandled.
    writing.catch(() => undefined);
    return writing;
  }

  async #writeAll(position: number, bytes: Buffer): Promise<string> {
    let verifier = '';
    for (let done = 0; done < bytes.byteLength;) {
      const result = await this.#target.write(position + done, bytes.subarray(done));
      if (done > 0 && result.verifier !== verifier) {
        // The server started anew between two parts: the first may be lost.
        done = 0;
        verifier = '';
        continue;
      }
      verifier = result.verifier;
      done += result.written;
    }
    return verifier;
  }

  #letGo(): void {
    // What goes wrong is met by `append` or `finish`, as the buffers are still held then.
    this.#drain().catch(() => undefined);
  }

  /** Makes durable what is held now; joins those who do so already. */
  #drain(): Promise<void> {
    this.#draining ??= this.#makeDurable([...this.#held])
      .catch((error: unknown) => {
        throw nfsError(error, this.#label);
      })
      .finally(() => {
        this.#draining = undefined;
      });
    return this.#draining;
  }

  async #makeDurable(held: Sent[]): Promise<void> {
    for (let round = 0, rest = held; rest.length > 0; round += 1) {
      if (round > MAX_ROUNDS) {
        const text = `${this.#label}: the NFS server started anew again and again meanwhile. Look into its log.`;
        throw new HoldfastError('backend_unavailable', text);
      }
      const verifiers = await Promise.all(rest.map(({ writing }) => writing));
      const verifier = await this.#target.commit();
      const lost = rest.filter((_, index) => verifiers[index] !== verifier);
      for (const sent of rest) {
        if (lost.includes(sent)) {
          sent.writing = this.#write(sent.position, sent.bytes);
        } else {
          this.#held.delete(sent);
          buffers.give(sent.buffer);
        }
      }
      rest = lost;
    }
  }
}
