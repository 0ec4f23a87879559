import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { HashPool } from '@holdfast/bytes/hash-pool';
import { sha256Hex } from '@holdfast/bytes/sha256';
import type { SyncFile } from './entry.ts';
import type { HashCache } from './hash-cache.ts';
import { openPlanned, plannedBytes, requireUnchanged } from './local-file.ts';

/** Below this, handing a file to a thread costs more than hashing it. */
const INLINE_BYTES = 64 * 1024;

/** SHA-256 of the files of a local folder: from the cache, else computed in worker threads. */
export class LocalHashes implements AsyncDisposable {
  readonly #root: string;
  readonly #cache: HashCache;
  readonly #signal: AbortSignal;
  readonly #pool = new HashPool({ workers: availableParallelism() });

  constructor(root: string, cache: HashCache, signal: AbortSignal) {
    this.#root = root;
    this.#cache = cache;
    this.#signal = signal;
  }

  /** Lower-case hex. @throws HoldfastError `conflict` when the file changes meanwhile, `forbidden`, `file_not_found`, `cancelled` */
  async sha256Of(file: SyncFile): Promise<string> {
    const absolute = join(this.#root, file.path);
    const known = file.stamp === null ? null : this.#cache.get(absolute, file.size, file.stamp);
    if (known !== null) return known;
    const sha256 = await this.#hash(absolute, file);
    this.remember(file, sha256);
    return sha256;
  }

  /** Notes the SHA-256 of a file that was read for another reason. */
  remember(file: SyncFile, sha256: string): void {
    if (file.stamp !== null) this.#cache.put(join(this.#root, file.path), file.size, file.stamp, sha256);
  }

  async #hash(absolute: string, file: SyncFile): Promise<string> {
    if (file.size <= INLINE_BYTES) return sha256Hex(await plannedBytes(absolute, file));
    await using handle = await openPlanned(absolute, file);
    const { sha256 } = await this.#pool.hashFd(handle.fd, { size: file.size, signal: this.#signal });
    requireUnchanged(file, await handle.stat({ bigint: true }));
    return sha256;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}
