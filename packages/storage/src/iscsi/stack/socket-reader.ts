import type { Duplex } from 'node:stream';
import { ByteQueue } from '../byte-queue.ts';

/** Bytes that may wait before the other side is held back. */
const highWaterBytes = 4 * 1024 * 1024;

/** Takes exact lengths from a stream of bytes, one call at a time. */
export class SocketReader {
  readonly #socket: Duplex;
  readonly #queue = new ByteQueue();
  #wanted = 0;
  #wake: (() => void) | undefined;
  #hasEnded = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#queue.push(chunk);
      if (this.#queue.length >= Math.max(highWaterBytes, this.#wanted)) socket.pause();
      if (this.#queue.length >= this.#wanted) this.#wake?.();
    });
    const end = (): void => {
      this.#hasEnded = true;
      this.#wake?.();
    };
    socket.once('end', end);
    socket.once('close', end);
  }

  /** The next bytes, or undefined when the stream ends before. */
  async take(length: number): Promise<Buffer | undefined> {
    for (;;) {
      const taken = this.#queue.take(length);
      if (taken !== undefined || this.#hasEnded) return taken;
      this.#wanted = length;
      this.#socket.resume();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
      this.#wanted = 0;
    }
  }
}
