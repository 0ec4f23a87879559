import { BufferPool } from '@holdfast/bytes/buffer-pool';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import { nfsError } from '../failure.ts';
import { REPLY_OVERHEAD_BYTES } from '../file-system.ts';
import type { NfsFile } from '../file-system.ts';

const CHUNK_BYTES = 1024 * 1024;
/** Chunks of one upload that are in memory: being filled, sent, read back, or not yet known to be durable. */
const WINDOW = 24;
/** Chunks that are read back at the same time; each has a buffer of its own. */
const READS_BACK = 4;
/** Chunks that a COMMIT is worth its while for. */
const COMMIT_CHUNKS = 12;
/** A small file gets a small buffer: a megabyte for each of many is felt. */
const FIRST_CHUNK_BYTES = 64 * 1024;
/** Rounds of sending again after the server has lost what was not yet durable. */
const MAX_ROUNDS = 20;

const chunkBuffers = new BufferPool({ bufferBytes: CHUNK_BYTES, maxIdle: WINDOW });
const replyBuffers = new BufferPool({ bufferBytes: CHUNK_BYTES + REPLY_OVERHEAD_BYTES, maxIdle: READS_BACK });

interface Chunk {
  offset: number;
  bytes: Buffer;
  /** The whole buffer, which goes back to where it came from. */
  buffer: Buffer;
  /** Of the server's life in which the bytes were written. */
  verifier: string;
}

/**
 * Sends a stream into an open file: many requests at once, every chunk read back and compared, and kept in memory until
 * the server has made it durable in the same life in which it was written. A server that lost it gets it again.
 */
export class Upload {
  readonly #file: NfsFile;
  readonly #label: string;
  readonly #digest = new StreamDigest();
  readonly #firstBytes: number;
  #filling: Buffer | undefined;
  #filled = 0;
  #offset = 0;
  /** Chunks from their launch until they are durable. */
  #underWay = 0;
  #readsBack = 0;
  #storedWaiting: Chunk[] = [];
  #isCommitting = false;
  #rounds = 0;
  #failure: { error: unknown } | undefined;
  #wake: (() => void)[] = [];

  /** @param label how the file is called in errors */
  constructor(file: NfsFile, label: string, expectedSize: number | undefined) {
    this.#file = file;
    this.#label = label;
    this.#firstBytes = Math.max(1, Math.min(expectedSize ?? FIRST_CHUNK_BYTES, this.#chunkBytes));
  }

  get #chunkBytes(): number {
    return Math.min(CHUNK_BYTES, this.#file.maxWriteBytes);
  }

  /** Takes bytes in; waits while the window is full. The chunk may be reused afterwards. */
  async append(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.byteLength;) {
      const buffer = (this.#filling ??= await this.#newBuffer());
      const room = Math.min(buffer.byteLength, this.#chunkBytes) - this.#filled;
      const length = Math.min(room, chunk.byteLength - at);
      buffer.set(chunk.subarray(at, at + length), this.#filled);
      this.#filled += length;
      at += length;
      if (length === room) this.#launch();
    }
  }

  /** Resolves when every byte is on the server, was compared, and is durable. */
  async finish(): Promise<{ size: number; sha256: string }> {
    if (this.#filled > 0) this.#launch();
    while (this.#isWaitedFor(1)) {
      this.#commitIf(this.#storedWaiting.length === this.#underWay);
      await this.#change();
    }
    return { size: this.#digest.bytes, sha256: this.#digest.hex() };
  }

  /** Waits until no request of it is under way, after a failure as well, and gives the buffers back. */
  async settle(): Promise<void> {
    this.#failure ??= { error: new Error('the upload was given up') };
    while (this.#underWay > this.#storedWaiting.length || this.#isCommitting) await this.#change();
    for (const chunk of this.#storedWaiting.splice(0)) this.#release(chunk.buffer);
    if (this.#filling !== undefined) this.#release(this.#filling);
    this.#filling = undefined;
    this.#underWay = 0;
  }

  async #newBuffer(): Promise<Buffer> {
    while (this.#isWaitedFor(WINDOW)) await this.#change();
    const isSmall = this.#offset === 0 && this.#firstBytes < CHUNK_BYTES;
    return isSmall ? Buffer.allocUnsafe(this.#firstBytes) : chunkBuffers.take();
  }

  #release(buffer: Buffer): void {
    if (buffer.byteLength === CHUNK_BYTES) chunkBuffers.give(buffer);
  }

  #launch(): void {
    const buffer = this.#filling;
    if (buffer === undefined) return;
    const bytes = buffer.subarray(0, this.#filled);
    this.#send({ offset: this.#offset, bytes, buffer, verifier: '' });
    // While the request is on its way.
    this.#digest.update(bytes);
    this.#underWay += 1;
    this.#offset += this.#filled;
    this.#filled = 0;
    this.#filling = undefined;
  }

  #send(chunk: Chunk): void {
    void this.#store(chunk)
      .catch((error: unknown) => {
        this.#failure ??= { error: nfsError(error, `Writing ${this.#label}`) };
      })
      .then(() => {
        this.#storedWaiting.push(chunk);
        this.#commitIf(this.#storedWaiting.length >= COMMIT_CHUNKS);
        this.#changed();
      });
  }

  async #store(chunk: Chunk): Promise<void> {
    const { offset, bytes } = chunk;
    let verifier = '';
    for (let done = 0; done < bytes.byteLength;) {
      const result = await this.#file.write(offset + done, bytes.subarray(done));
      if (done > 0 && result.verifier !== verifier) {
        // The server started anew between two parts: the first may be lost.
        done = 0;
        verifier = '';
        continue;
      }
      verifier = result.verifier;
      done += result.written;
    }
    chunk.verifier = verifier;
    await this.#compare(chunk);
  }

  /** Nothing on the way guards the bytes, so that only what comes back shows what the server has. */
  async #compare(chunk: Chunk): Promise<void> {
    while (this.#readsBack >= READS_BACK) await this.#change();
    this.#readsBack += 1;
    const isLarge = chunk.bytes.byteLength > FIRST_CHUNK_BYTES;
    const buffer = isLarge ? replyBuffers.take() : undefined;
    try {
      // The second look tells bytes that were changed on their way back from bytes that are wrong over there.
      if ((await this.#isAsSent(chunk, buffer)) || (await this.#isAsSent(chunk, buffer))) return;
    } finally {
      if (buffer !== undefined) replyBuffers.give(buffer);
      this.#readsBack -= 1;
      this.#changed();
    }
    // A write that went astray may have hit other bytes of the file, which were compared before: it is given up.
    throw new HoldfastError(
      'backend_unavailable',
      `${this.#label} was changed on its way to the server (at byte ${chunk.offset} or after). Nothing was published. ` +
        'Check the network for damaged packets, then try again.',
    );
  }

  async #isAsSent({ offset, bytes }: Chunk, buffer: Buffer | undefined): Promise<boolean> {
    for (let done = 0; done < bytes.byteLength;) {
      const wanted = Math.min(bytes.byteLength - done, this.#file.maxReadBytes);
      const got = await this.#file.read(offset + done, wanted, buffer);
      const end = done + got.byteLength;
      if (got.byteLength === 0 || !got.equals(bytes.subarray(done, end))) return false;
      done = end;
    }
    return true;
  }

  #commitIf(isTime: boolean): void {
    if (!isTime || this.#isCommitting || this.#failure !== undefined || this.#storedWaiting.length === 0)
      return;
    this.#isCommitting = true;
    const chunks = this.#storedWaiting.splice(0);
    void this.#commit(chunks)
      .catch((error: unknown) => {
        this.#failure ??= { error: nfsError(error, `Making ${this.#label} durable`) };
        this.#storedWaiting.push(...chunks);
      })
      .then(() => {
        this.#isCommitting = false;
        this.#commitIf(this.#storedWaiting.length >= COMMIT_CHUNKS);
        this.#changed();
      });
  }

  async #commit(chunks: Chunk[]): Promise<void> {
    const verifier = await this.#file.commit();
    const lost = chunks.filter((chunk) => chunk.verifier !== verifier);
    if (lost.length > 0) this.#rounds += 1;
    if (this.#rounds > MAX_ROUNDS) {
      const text = `The NFS server started anew again and again while ${this.#label} was written. Look into its log.`;
      throw new HoldfastError('backend_unavailable', text);
    }
    for (const chunk of chunks) {
      if (chunk.verifier !== verifier) continue;
      this.#underWay -= 1;
      this.#release(chunk.buffer);
    }
    for (const chunk of lost) this.#send(chunk);
  }

  /** Whether so many chunks are under way; throws what has failed instead. */
  #isWaitedFor(chunks: number): boolean {
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#underWay >= chunks;
  }

  /** Resolves at the next change of state. */
  async #change(): Promise<void> {
    await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
