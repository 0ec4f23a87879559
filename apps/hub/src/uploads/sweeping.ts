import type { Logger } from 'pino';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { Upload } from '@holdfast/catalog/uploads';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { ContentArea } from '@holdfast/storage/contents';
import type { Backends, LiveBackend } from '../backends/backends.ts';
import type { Completion } from './completion.ts';
import type { Ending } from './ending.ts';

/** Where several hubs share a backend, staged bytes without a session may be another hub's that is just beginning one. */
const OTHERS_MS = 24 * 60 * 60 * 1000;
/** Open uploads that are read at once. */
const PAGE = 1000;

interface Report {
  /** Uploads that were being completed, and are now. */
  completed: number;
  /** Staged bytes without a session that were removed. */
  removed: number;
  /** Uploads whose staged bytes are gone. */
  failed: number;
}

/** Mends what a crash left between the backends and the catalog. */
export class Sweeping {
  readonly #catalog: Catalog;
  readonly #backends: Backends;
  readonly #completion: Completion;
  readonly #ending: Ending;
  readonly #logger: Logger;
  readonly #hubId: string;

  constructor(options: {
    catalog: Catalog;
    backends: Backends;
    completion: Completion;
    ending: Ending;
    logger: Logger;
    hubId: string;
  }) {
    this.#catalog = options.catalog;
    this.#backends = options.backends;
    this.#completion = options.completion;
    this.#ending = options.ending;
    this.#logger = options.logger;
    this.#hubId = options.hubId;
  }

  /** Once, before requests are taken. One line of the log for each backend where there was something. */
  async run(): Promise<void> {
    const completed = await this.carryOn();
    for (const backend of this.#backends.list()) {
      const { contents } = backend.storage;
      if (contents === undefined || backend.status === 'offline') continue;
      try {
        const report = {
          completed: completed.get(backend.row.id) ?? 0,
          ...(await this.#sweep(backend, contents)),
        };
        this.#tell(backend, report);
      } catch (error) {
        this.#logger.error(
          { backend: backend.row.name, err: error },
          'the uploads of a backend could not be swept; it is tried again at the next start',
        );
      }
    }
  }

  /** Carries on with what was being completed, unless another hub is at it. @returns how many are completed now, by backend */
  async carryOn(): Promise<Map<string, number>> {
    const completed = new Map<string, number>();
    for (const upload of await this.#catalog.uploads.inStatus('completing')) {
      if (this.#isOthers(upload)) continue;
      try {
        await this.#completion.resume(upload);
        completed.set(upload.backendId, (completed.get(upload.backendId) ?? 0) + 1);
      } catch (error) {
        this.#logger.warn({ upload: upload.id, err: error }, 'an upload could not be completed yet');
      }
    }
    return completed;
  }

  #isOthers({ leaseHub, leaseUntil }: Upload): boolean {
    return leaseHub !== null && leaseHub !== this.#hubId && leaseUntil !== null && leaseUntil > new Date();
  }

  async #sweep({ row }: LiveBackend, contents: ContentArea): Promise<Omit<Report, 'completed'>> {
    const staged = await contents.staging.list();
    const open = await this.#openOn(row.id);
    let removed = 0;
    const youngest = Date.now() - (this.#catalog.dialect === 'sqlite' ? 0 : OTHERS_MS);
    for (const { id, state, touchedAt } of staged) {
      if (open.delete(id) || touchedAt.getTime() > youngest) continue;
      try {
        await using upload = await contents.staging.resume({ id, state, size: null, chunkSize: null });
        await upload.discard();
        removed += 1;
      } catch (error) {
        this.#logger.warn({ upload: id, err: error }, 'the staged bytes of no upload could not be removed');
      }
    }
    return { removed, failed: await this.#failLost([...open.values()], contents) };
  }

  /** Those whose bytes nobody has listed; another hub's spool may have them, which resuming tells. */
  async #failLost(uploads: readonly Upload[], contents: ContentArea): Promise<number> {
    let failed = 0;
    for (const upload of uploads) {
      const { id, stagingState: state, size, chunkSize } = upload;
      if (upload.status === 'completing') continue; // told already, and tried again
      try {
        if (state === null) throw new HoldfastError('file_not_found', `The upload ${id} was never staged.`);
        await using _there = await contents.staging.resume({ id, state, size, chunkSize });
      } catch (error) {
        if (!isHoldfastError(error, 'file_not_found')) continue;
        const gone = 'The bytes of this upload are gone from its backend. Begin a new one.';
        await this.#ending.fail(upload, new HoldfastError('conflict', gone, { cause: error }));
        failed += 1;
      }
    }
    return failed;
  }

  async #openOn(backendId: string): Promise<Map<string, Upload>> {
    const open = new Map<string, Upload>();
    let page: Upload[];
    let after: string | undefined;
    do {
      page = await this.#catalog.uploads.openOn(backendId, {
        limit: PAGE,
        ...(after === undefined ? {} : { after }),
      });
      for (const upload of page) open.set(upload.id, upload);
      after = page.at(-1)?.id;
    } while (page.length === PAGE);
    return open;
  }

  #tell({ row }: LiveBackend, { completed, removed, failed }: Report): void {
    if (completed + removed + failed === 0) return;
    this.#logger.warn(
      { backend: row.name, completed, removed, failed },
      'mended what interrupted uploads had left: completed, removed without a session, failed without bytes',
    );
  }
}
