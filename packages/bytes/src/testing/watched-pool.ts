import { BufferPool } from '../buffer-pool.ts';

/** A pool that tells when every buffer it made is back. */
export class WatchedPool extends BufferPool {
  readonly #allBack = Promise.withResolvers<void>();

  override give(buffer: Buffer): void {
    super.give(buffer);
    if (this.idle === this.allocated) this.#allBack.resolve();
  }

  async allBack(): Promise<void> {
    await this.#allBack.promise;
  }
}
