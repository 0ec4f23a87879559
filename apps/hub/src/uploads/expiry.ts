import type { Logger } from 'pino';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { Upload } from '@holdfast/catalog/uploads';
import type { Ending } from './ending.ts';

/** What has ended can be asked for so long. */
const TOMBSTONE_MS = 7 * 24 * 60 * 60 * 1000;
const AT_ONCE = 500;

/** Ends uploads to which nothing came for too long, and forgets those that ended long ago. */
export class Expiry {
  readonly #catalog: Catalog;
  readonly #ending: Ending;
  readonly #logger: Logger;

  constructor(options: { catalog: Catalog; ending: Ending; logger: Logger }) {
    this.#catalog = options.catalog;
    this.#ending = options.ending;
    this.#logger = options.logger;
  }

  async run(): Promise<void> {
    const now = new Date();
    let expired = 0;
    let page: Upload[];
    do {
      page = await this.#catalog.uploads.expiredBefore(now, AT_ONCE);
      const ended = await Promise.all(page.map((upload) => this.#ending.expire(upload, now)));
      expired += ended.filter(Boolean).length;
    } while (page.length === AT_ONCE);
    if (expired > 0) this.#logger.info({ expired }, 'uploads have expired, and their bytes were removed');
    const before = new Date(now.getTime() - TOMBSTONE_MS);
    while ((await this.#catalog.uploads.purge(before, AT_ONCE)) === AT_ONCE);
  }
}
