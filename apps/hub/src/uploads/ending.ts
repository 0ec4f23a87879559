import type { Catalog } from '@holdfast/catalog/catalog';
import type { Upload } from '@holdfast/catalog/uploads';
import { HoldfastError } from '@holdfast/contract/errors';
import type { LiveUploads } from './live-uploads.ts';
import type { UploadReports } from './reports.ts';
import { closedError, failureOf, notFoundError, openStatuses } from './session-state.ts';

/** Ends uploads that are not completed: first in the catalog, which decides between requests that race, then their bytes. */
export class Ending {
  readonly #catalog: Catalog;
  readonly #lives: LiveUploads;
  readonly #reports: UploadReports;

  constructor(options: { catalog: Catalog; lives: LiveUploads; reports: UploadReports }) {
    this.#catalog = options.catalog;
    this.#lives = options.lives;
    this.#reports = options.reports;
  }

  /**
   * Gives an upload up; again: the same answer.
   * @returns whether its bytes are removed already
   * @throws HoldfastError `conflict` when it is being completed or has ended otherwise, `upload_expired`
   */
  async abort(upload: Upload): Promise<{ upload: Upload; discarded: boolean }> {
    const aborted = await this.#catalog.uploads.transition(upload.id, openStatuses, 'aborted');
    if (aborted === null) {
      const current = await this.#catalog.uploads.get(upload.id);
      if (current?.status === 'aborted') return { upload: current, discarded: true };
      throw current === null ? notFoundError(upload.id) : closedError(current);
    }
    const discarded = await this.#lives.discard(aborted, closedError(aborted));
    this.#reports.failed(aborted, new HoldfastError('cancelled', 'The upload was given up.'));
    return { upload: aborted, discarded };
  }

  /** Marks an upload as failed, unless it has ended otherwise meanwhile. What fails stays failed: its bytes are removed. */
  async fail(
    upload: Upload,
    why: HoldfastError,
    from: readonly Upload['status'][] = openStatuses,
  ): Promise<void> {
    const failed = await this.#catalog.uploads.transition(upload.id, from, 'failed', {
      errorCode: why.code,
      errorDetail: why.message,
    });
    if (failed === null) return;
    await this.#lives.discard(failed, failureOf(failed));
    this.#reports.failed(failed, why);
  }

  /** Ends an upload that nobody can resume, because of an error that its client is told. */
  async giveUp(upload: Upload, error: unknown): Promise<void> {
    const why =
      error instanceof HoldfastError
        ? error
        : new HoldfastError('internal', 'The upload failed.', { cause: error });
    await this.fail(upload, why);
  }

  /** Ends an upload to which nothing has come until now. @returns false when something came after all */
  async expire(upload: Upload, now: Date): Promise<boolean> {
    const expired = await this.#catalog.uploads.expire(upload.id, now);
    if (expired === null) return false;
    await this.#lives.discard(expired, closedError(expired));
    this.#reports.failed(expired, closedError(expired));
    return true;
  }
}
