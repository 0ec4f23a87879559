import { Cron } from 'croner';
import type { Logger } from 'pino';
import type { Backends } from './backends.ts';

/** Checks every backend once a minute, one after the other, for as long as the hub runs. */
export class BackendMonitor implements Disposable {
  readonly #job: Cron;

  constructor(backends: Backends, logger: Logger) {
    this.#job = new Cron('30 * * * * *', { protect: true, unref: true }, async () => {
      for (const { row } of backends.list()) {
        try {
          await backends.check(row.id);
        } catch (error) {
          logger.error({ backend: row.name, err: error }, 'the backend could not be checked');
        }
      }
    });
  }

  [Symbol.dispose](): void {
    this.#job.stop();
  }
}
