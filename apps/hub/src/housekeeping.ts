import { Cron } from 'croner';
import type { Logger } from 'pino';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { Settings } from './settings.ts';
import type { Uploads } from './uploads/uploads.ts';
import type { Vault } from './vault/vault.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** The operation log never grows beyond this many lines. */
const MOST_OPERATIONS = 1_000_000;

/** What is done every hour; each by itself, so that one that fails does not keep the others from it. */
export class Housekeeping implements Disposable {
  readonly #jobs: Cron[];

  constructor({
    catalog,
    settings,
    uploads,
    vault,
    logger,
  }: {
    catalog: Catalog;
    settings: Settings;
    uploads: Uploads;
    vault: Vault;
    logger: Logger;
  }) {
    const hourly = (minute: number, failed: string, work: () => Promise<void>): Cron =>
      new Cron(`${minute} * * * *`, { protect: true, unref: true }, async () => {
        try {
          await work();
        } catch (error) {
          logger.error({ err: error }, `${failed}; tried again in an hour`);
        }
      });
    this.#jobs = [
      hourly(7, 'expired uploads could not be ended', () => uploads.expire()),
      hourly(17, 'old operations could not be forgotten', async () => {
        const olderThan = new Date(Date.now() - settings.current.operation_retention_days * DAY_MS);
        const removed = await catalog.operations.prune({ olderThan, keepAtMost: MOST_OPERATIONS });
        if (removed > 0) logger.info({ removed }, 'old operations were forgotten');
      }),
      hourly(27, 'the vault could not be collected', () => vault.collectHourly()),
    ];
  }

  [Symbol.dispose](): void {
    for (const job of this.#jobs) job.stop();
  }
}
