import { unlessCancelled } from '@holdfast/bytes/cancellation';
import { PrefixHashes } from '@holdfast/bytes/prefix-hashes';
import type { PrefixHash } from '@holdfast/bytes/prefix-hashes';
import { HoldfastError } from '@holdfast/contract/errors';

/** Of the whole process: the threads and the memory for the states are shared by all uploads on all backends. */
const hashes = new PrefixHashes();

/** Hands on the stored bytes from where a hash is, up to a position, or as many of them as it likes. */
export type FeedHash = (hash: PrefixHash, to: number) => Promise<void>;

/**
 * The SHA-256 of an upload as the storage has it, computed behind those who write. It is only a matter of time whether the
 * hash is where the bytes are: what was lost or has changed is hashed again.
 */
export class WholeDigest implements AsyncDisposable {
  readonly #feed: FeedHash;
  readonly #hash = hashes.begin();
  #target = 0;
  #isStale = false;
  #isDisposed = false;
  #working: Promise<void> | undefined;

  constructor(feed: FeedHash) {
    this.#feed = feed;
  }

  /** Bytes that are hashed already. */
  get hashed(): number {
    return this.#isStale ? 0 : this.#hash.hashed;
  }

  /** All bytes up to `end` are there: they are hashed in the background. */
  grew(end: number): void {
    if (end <= this.#target) return;
    this.#target = end;
    if (this.#working !== undefined || this.#isDisposed) return;
    // What goes wrong in the background goes wrong again in `finish`, where there is somebody to be told.
    this.#work().catch(() => undefined);
  }

  /** Bytes from a position on may be others now than those that were hashed. */
  changed(from: number): void {
    if (from < this.#target) this.#isStale = true;
  }

  /**
   * The SHA-256 of the first `size` bytes, in lower-case hex.
   * @throws HoldfastError `file_not_found` when there are fewer; `cancelled`; what the feed throws
   */
  async finish(size: number, doing: string, signal?: AbortSignal): Promise<string> {
    if (size < this.#target) this.#isStale = true;
    this.#target = size;
    for (;;) {
      await unlessCancelled(signal, doing, () => this.#work());
      if (this.#isStale || this.#hash.hashed !== size) continue;
      const digest = await this.#hash.digest();
      if (digest !== undefined && !this.#isStale) return digest;
    }
  }

  /** Ends the hashing; resolves when nothing of it reads the bytes any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#hash[Symbol.dispose]();
    await this.#working?.catch(() => undefined);
  }

  /** Hashes up to the target; joins those who do so already. */
  #work(): Promise<void> {
    this.#working ??= this.#catchUp().finally(() => {
      this.#working = undefined;
    });
    return this.#working;
  }

  async #catchUp(): Promise<void> {
    while (this.#isStale || this.#hash.hashed < this.#target) {
      if (this.#isDisposed) throw new HoldfastError('cancelled', 'Hashing the upload was cancelled.');
      if (this.#isStale) this.#hash.restart();
      this.#isStale = false;
      const before = this.#hash.hashed;
      const target = this.#target;
      await this.#feed(this.#hash, target);
      const { hashed } = this.#hash;
      // Less than before is a state that was lost: then it goes on from the first byte.
      if (hashed === before && hashed < target) throw endsEarly(hashed, target);
    }
  }
}

function endsEarly(hashed: number, expected: number): HoldfastError {
  const text = `The staged bytes of the upload end at ${hashed}, and ${expected} were received. Begin it anew.`;
  return new HoldfastError('file_not_found', text);
}
