import type { Logger } from 'pino';
import type { Catalog } from '@holdfast/catalog/catalog';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { StoredContent } from '@holdfast/storage/contents';
import type { ContentLocks } from './content-locks.ts';
import type { VaultBackend, VaultBackends } from './vault-backends.ts';

const PAGE = 1000;
/**
 * Where several hubs share the catalog, a file without a row may be another hub's that is just being recorded: the locks of this
 * hub do not tell. Such a file is young.
 */
const SHARED_AGE_MS = 24 * 60 * 60 * 1000;

export interface Cleared {
  found: number;
  bytes: number;
}

/**
 * Files in a vault that no row of the catalog stands for: a crash came between publishing and recording. Left alone are those
 * that were there before the backend was added to this catalog: they are another catalog's, or all that is left of a lost one.
 */
export class Leftovers {
  readonly #catalog: Catalog;
  readonly #backends: VaultBackends;
  readonly #locks: ContentLocks;
  readonly #logger: Logger;

  constructor(options: { catalog: Catalog; backends: VaultBackends; locks: ContentLocks; logger: Logger }) {
    this.#catalog = options.catalog;
    this.#backends = options.backends;
    this.#locks = options.locks;
    this.#logger = options.logger;
  }

  /** Removes them from one backend, or only counts them. A backend that is not usable is passed over with a warning. */
  async clear(
    backend: VaultBackend,
    { dryRun, signal }: { dryRun: boolean; signal: AbortSignal },
  ): Promise<Cleared> {
    const cleared: Cleared = { found: 0, bytes: 0 };
    try {
      let after: string | undefined;
      do {
        signal.throwIfAborted();
        const page = await backend.contents.list({ limit: PAGE, ...(after === undefined ? {} : { after }) });
        for (const content of await this.#leftOf(backend, page.contents)) {
          await using _held = await this.#locks.take([content.sha256], signal);
          if (!(await this.#isLeft(backend, content))) continue;
          if (!dryRun) await backend.contents.remove(content.sha256);
          cleared.found += 1;
          cleared.bytes += content.size;
        }
        after = page.next;
      } while (after !== undefined);
    } catch (error) {
      signal.throwIfAborted();
      if (!isHoldfastError(error)) throw error;
      this.#logger.warn(
        { backend: backend.name, err: error },
        'its vault cannot be looked through for leftovers now; the next collection tries again',
      );
    }
    return cleared;
  }

  async #leftOf(backend: VaultBackend, contents: readonly StoredContent[]): Promise<StoredContent[]> {
    const newest = Date.now() - (this.#catalog.dialect === 'sqlite' ? 0 : SHARED_AGE_MS);
    const rows = await this.#catalog.contents.getMany(contents.map(({ sha256 }) => sha256));
    const left = contents.filter(
      ({ sha256, storedAt }) =>
        rows.get(sha256)?.backendId !== backend.id &&
        storedAt.getTime() <= newest &&
        storedAt.getTime() >= backend.addedAt.getTime(),
    );
    if (left.length === 0) return left;
    const completing = await this.#catalog.uploads.inStatus('completing');
    const awaited = new Set(completing.map(({ sha256 }) => sha256));
    return left.filter(({ sha256 }) => !awaited.has(sha256));
  }

  /** Under its lock: whether it is left still, now that nobody here is just recording it. */
  async #isLeft(backend: VaultBackend, content: StoredContent): Promise<boolean> {
    if ((await this.#leftOf(backend, [content])).length === 0) return false;
    const row = await this.#catalog.contents.get(content.sha256);
    if (row === null) return true;
    // It was taken in anew elsewhere while this backend was away. As long as the other copy cannot be seen, this one may be the last.
    return row.state === 'stored' && (await this.#backends.shows(row));
  }
}
