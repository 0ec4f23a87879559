import { Cron } from 'croner';
import type { Logger } from 'pino';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { Settings } from '../settings.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** The operation log never grows beyond this many lines. */
const MOST_OPERATIONS = 1_000_000;

/** Hourly: forgets operations past their retention. */
export class Housekeeping implements Disposable {
  readonly #job: Cron;

  constructor({ catalog, settings, logger }: { catalog: Catalog; settings: Settings; logger: Logger }) {
    this.#job = new Cron('17 * * * *', { protect: true, unref: true }, async () => {
      try {
        const olderThan = new Date(Date.now() - settings.current.operation_retention_days * DAY_MS);
        const removed = await catalog.operations.prune({ olderThan, keepAtMost: MOST_OPERATIONS });
        if (removed > 0) logger.info({ removed }, 'old operations were forgotten');
      } catch (error) {
        logger.error({ err: error }, 'old operations could not be forgotten; tried again in an hour');
      }
    });
  }

  [Symbol.dispose](): void {
    this.#job.stop();
  }
}
