import type { FileHandle } from 'node:fs/promises';
import { PrefixHashes } from '@holdfast/bytes/prefix-hashes';
import type { PrefixHash, ReadableDescriptor } from '@holdfast/bytes/prefix-hashes';
import { HoldfastError } from '@holdfast/contract/errors';

/** The SHA-256 of a file that is being written, computed in a worker thread behind the writers. */
export class FollowingHash implements AsyncDisposable {
  readonly #hashes = new PrefixHashes({ workers: 1 });
  readonly #hash: PrefixHash = this.#hashes.begin();
  readonly #handle: FileHandle;
  #present = 0;
  #following: Promise<void> | undefined;

  /** @param handle stays open until this is disposed */
  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Tells that all bytes up to a position are there. */
  advance(present: number): void {
    this.#present = Math.max(this.#present, present);
    if (this.#following !== undefined || this.#present <= this.#hash.hashed) return;
    this.#following = this.#follow();
    // `finish` meets the failure.
    this.#following.catch(() => undefined);
  }

  /**
   * The SHA-256 of the first `size` bytes, lower-case hex, when all are there.
   * @throws HoldfastError `backend_unavailable` when the file cannot be read; `incomplete_body` when it is shorter
   */
  async finish(size: number): Promise<string> {
    await this.#following;
    for (;;) {
      await this.#hash.fromFile(this.#open, size);
      if (this.#hash.hashed < size) {
        const text = `The partial file was cut short by another program while it was downloaded. Try again.`;
        throw new HoldfastError('incomplete_body', text);
      }
      const sha256 = await this.#hash.digest();
      if (sha256 !== undefined) return sha256;
    }
  }

  /** Resolves when the file is not being read any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#hash[Symbol.dispose]();
    await this.#following?.catch(() => undefined);
    await this.#hashes[Symbol.asyncDispose]();
  }

  async #follow(): Promise<void> {
    while (this.#hash.hashed < this.#present) {
      const { hashed } = this.#hash;
      await this.#hash.fromFile(this.#open, this.#present);
      if (this.#hash.hashed === hashed) break;
    }
    this.#following = undefined;
  }

  readonly #open = async (): Promise<ReadableDescriptor> => ({
    fd: this.#handle.fd,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}
