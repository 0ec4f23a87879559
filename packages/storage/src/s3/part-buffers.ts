import { BufferPool } from '@holdfast/bytes/buffer-pool';
import { PART_BYTES } from './part-plan.ts';

/** Shared by all uploads; larger parts than the usual ones are rare, and their memory stays with their upload. */
const usualBuffers = new BufferPool({ bufferBytes: PART_BYTES, maxIdle: 4 });

/** The buffers of one upload: as many as it may have at a time, and a caller waits for the next one. */
export class PartBuffers {
  readonly #waiting: (() => void)[] = [];
  /** Of parts larger than the usual ones. */
  readonly #idle: Buffer[] = [];
  #inUse = 0;

  /** @param limit buffers in use from now on, this one included */
  async take(bytes: number, limit: number): Promise<Buffer> {
    while (this.#inUse >= limit) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    }
    this.#inUse += 1;
    if (bytes === PART_BYTES) return usualBuffers.take();
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      // Memory of parts that have become too small is let go.
      if (idle.byteLength === bytes) return idle;
    }
    return Buffer.allocUnsafeSlow(bytes);
  }

  /** Counts memory that did not come from here as one of the buffers in use. */
  adopt(): void {
    this.#inUse += 1;
  }

  /** Takes a buffer back that nothing uses any more; undefined for adopted memory. */
  give(buffer: Buffer | undefined): void {
    this.#inUse -= 1;
    if (buffer?.byteLength === PART_BYTES) usualBuffers.give(buffer);
    else if (buffer !== undefined) this.#idle.push(buffer);
    this.#waiting.shift()?.();
  }
}
