import type { Logger } from 'pino';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { Upload, UploadStatus } from '@holdfast/catalog/uploads';
import { HoldfastError } from '@holdfast/contract/errors';
import { hasScope, type Principal } from '../access/access.ts';
import type { Backends } from '../backends/backends.ts';
import type { Events } from '../events.ts';
import type { HostFiles } from '../host-files/host-files.ts';
import type { Library } from '../library/library.ts';
import type { Metrics } from '../metrics.ts';
import type { Operations } from '../operations.ts';
import type { Settings } from '../settings.ts';
import type { Vault } from '../vault/vault.ts';
import { Beginning, requireKey, type AnnouncedFile, type Begun, type UploadSpec } from './beginning.ts';
import { Completion, type CompleteOptions } from './completion.ts';
import { Concatenation, type FinalSpec } from './concatenation.ts';
import { Ending } from './ending.ts';
import { Expiry } from './expiry.ts';
import { Lifetime } from './lifetime.ts';
import { LiveUploads } from './live-uploads.ts';
import { OneShots, type OneShot } from './one-shot.ts';
import { Placement } from './placement.ts';
import { Publication, type FinishedUpload } from './publication.ts';
import {
  Receiving,
  type Appended,
  type AppendOptions,
  type ChunkOptions,
  type TakenChunk,
} from './receiving.ts';
import { UploadReports } from './reports.ts';
import { closedError, expiredError, isOpen, notFoundError } from './session-state.ts';
import { Space, type VaultBackend } from './space.ts';
import { Sweeping } from './sweeping.ts';

export type {
  AnnouncedFile,
  Appended,
  AppendOptions,
  Begun,
  ChunkOptions,
  CompleteOptions,
  FinalSpec,
  FinishedUpload,
  OneShot,
  TakenChunk,
  Upload,
  UploadSpec,
};

/** A session and the chunks it has, as ranges of numbers, both ends included. */
export interface UploadState {
  upload: Upload;
  receivedChunks: [first: number, last: number][];
}

/**
 * Uploads under way. What counts of them is in the catalog: any hub can go on with any of them, and a restart loses nothing
 * that was acknowledged.
 */
export class Uploads implements AsyncDisposable {
  readonly #catalog: Catalog;
  readonly #stopping = new AbortController();
  readonly #reports: UploadReports;
  readonly #lives: LiveUploads;
  readonly #ending: Ending;
  readonly #beginning: Beginning;
  readonly #receiving: Receiving;
  readonly #completion: Completion;
  readonly #concatenation: Concatenation;
  readonly #oneShots: OneShots;
  readonly #sweeping: Sweeping;
  readonly #expiry: Expiry;

  constructor(options: {
    catalog: Catalog;
    backends: Backends;
    vault: Vault;
    hostFiles: HostFiles;
    library: Library;
    settings: Settings;
    events: Events;
    operations: Operations;
    metrics: Metrics;
    logger: Logger;
    hubId: string;
  }) {
    const { catalog, vault, hostFiles, library, settings, metrics, logger, hubId } = options;
    const onError = (error: unknown): void =>
      logger.warn({ err: error }, 'an upload could not be looked after');
    const reports = new UploadReports(options);
    const lives = new LiveUploads({ catalog, vault, onError });
    const lifetime = new Lifetime({ catalog, settings, onError });
    const ending = new Ending({ catalog, lives, reports });
    const beginning = new Beginning({
      catalog,
      vault,
      hostFiles,
      library,
      space: new Space(catalog),
      lifetime,
      reports,
    });
    const receiving = new Receiving({ catalog, lives, ending, reports, lifetime });
    const placement = new Placement({ library, lives, ending });
    const publication = new Publication({
      catalog,
      vault,
      lives,
      ending,
      placement,
      reports,
      hubId,
      onError,
    });
    const stopping = this.#stopping.signal;
    const completion = new Completion({ catalog, lives, ending, publication, lifetime, stopping });
    this.#catalog = catalog;
    this.#reports = reports;
    this.#lives = lives;
    this.#ending = ending;
    this.#beginning = beginning;
    this.#receiving = receiving;
    this.#completion = completion;
    this.#concatenation = new Concatenation({ catalog, beginning, ending, lives, receiving });
    this.#oneShots = new OneShots({ beginning, receiving, completion, ending });
    this.#sweeping = new Sweeping({ catalog, backends: options.backends, completion, ending, logger, hubId });
    this.#expiry = new Expiry({ catalog, ending, logger });
    metrics.followUploads(() => catalog.uploads.countByStatus());
  }

  /**
   * Begins an upload, or records the file at once when the caller may read its content already.
   * @throws HoldfastError `forbidden`, `backend_not_found`, `backend_unavailable`, `read_only`, `wrong_volume`, `quota_exceeded`,
   *   `storage_full`, `validation_failed` and `too_large`, naming the field
   */
  begin(principal: Principal, spec: UploadSpec): Promise<Begun> {
    return this.#beginning.begin(principal, spec);
  }

  /** The backend that takes a caller's uploads. @throws HoldfastError as `begin` */
  backendFor(principal: Principal, backendId: string | undefined): VaultBackend {
    return this.#beginning.backendFor(principal, backendId);
  }

  /**
   * A session of the caller's key; `admin` sees all. One that has ended is there for a week.
   * @throws HoldfastError `upload_not_found`, `upload_expired`
   */
  async session(principal: Principal, id: string): Promise<Upload> {
    const upload = await this.#catalog.uploads.get(id);
    const isVisible = upload !== null && (hasScope(principal, 'admin') || upload.keyId === principal.keyId);
    if (!isVisible) throw notFoundError(id);
    const isPast = isOpen(upload) && upload.expiresAt <= new Date();
    if (upload.status === 'expired' || isPast) throw expiredError(upload);
    return upload;
  }

  /** @throws HoldfastError `upload_not_found`, `upload_expired` */
  async state(principal: Principal, id: string): Promise<UploadState> {
    return this.#withChunks(await this.session(principal, id));
  }

  /** Sessions of the caller's key, or all for `admin`; newest first. */
  async list(
    principal: Principal,
    query: { status?: UploadStatus | undefined; limit: number; cursor?: string | undefined },
  ): Promise<{ rows: UploadState[]; total: number; nextCursor?: string }> {
    const { status, limit, cursor } = query;
    const page = await this.#catalog.uploads.list({
      limit,
      ...(hasScope(principal, 'admin') ? {} : { keyId: requireKey(principal) }),
      ...(status === undefined ? {} : { status }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    const rows = await Promise.all(page.rows.map((upload) => this.#withChunks(upload)));
    return { ...page, rows };
  }

  /**
   * Takes a chunk: durable when it resolves. Repeated with the same bytes: the same answer. A second connection for a chunk
   * under way takes it over.
   * @throws HoldfastError `invalid_request` naming the field, `chunk_conflict`, `superseded`, `conflict`, `upload_expired`,
   *   `incomplete_body`, `checksum_mismatch`, `storage_full`, `backend_unavailable`
   */
  async putChunk(
    principal: Principal,
    id: string,
    num: number,
    source: AsyncIterable<Uint8Array>,
    options: ChunkOptions,
  ): Promise<TakenChunk> {
    return this.#receiving.chunk(await this.#open(principal, id), num, source, options);
  }

  /**
   * Takes bytes from an offset on, for tus. A second connection takes over; what the first one brought counts, unless a checksum
   * covers it.
   * @throws HoldfastError `offset_mismatch`, `superseded`, `upload_checksum_mismatch`, `too_large`, `conflict`, `upload_expired`,
   *   `quota_exceeded`, `storage_full`, `backend_unavailable`
   */
  async append(
    principal: Principal,
    id: string,
    offset: number,
    source: AsyncIterable<Uint8Array>,
    options: AppendOptions = {},
  ): Promise<Appended> {
    const upload = await this.#open(principal, id);
    if (upload.protocol !== 'tus')
      throw new HoldfastError('conflict', 'This upload goes on in chunks, at /api/uploads.');
    return this.#receiving.append(upload, offset, source, options);
  }

  /**
   * Tells the size of an upload that was begun without one; the same size again changes nothing.
   * @throws HoldfastError `conflict`, `invalid_request` (less than was received), `too_large`, `quota_exceeded`, `storage_full`
   */
  async declareSize(principal: Principal, id: string, size: number): Promise<Upload> {
    return this.#beginning.declareSize(await this.#open(principal, id), size);
  }

  /**
   * Verifies, publishes and records. Again: the same answer. Goes on when the caller has gone.
   * @throws HoldfastError `chunks_missing`, `chunk_conflict`, `checksum_mismatch`, `validation_failed`, `conflict`, `upload_expired`,
   *   `busy`, `backend_unavailable`, `storage_full`
   */
  async complete(principal: Principal, id: string, options: CompleteOptions = {}): Promise<FinishedUpload> {
    return this.#completion.complete(await this.session(principal, id), options);
  }

  /**
   * An upload of the bytes of finished parts, in their order; not completed yet.
   * @throws HoldfastError `upload_not_found`, `conflict` naming `Upload-Concat`, and those of `begin`
   */
  async concatenate(
    principal: Principal,
    spec: FinalSpec,
    partIds: readonly string[],
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<Upload> {
    const parts = await Promise.all(partIds.map((id) => this.session(principal, id)));
    return this.#concatenation.concatenate(principal, spec, parts, options.signal);
  }

  /** Gives an upload up and removes its bytes. Again: the same answer. @throws HoldfastError `conflict`, `upload_expired` */
  async abort(principal: Principal, id: string): Promise<{ chunksUploaded: number; chunksDeleted: number }> {
    const { upload, discarded } = await this.#ending.abort(await this.session(principal, id));
    const chunksUploaded = upload.protocol === 'chunks' ? upload.receivedPieces : 0;
    return { chunksUploaded, chunksDeleted: discarded ? chunksUploaded : 0 };
  }

  /**
   * Asks whether a file that is to come in one request is needed, and would be taken. Nothing is reserved.
   * @returns the id of the recorded file when it is not; null when its bytes are wanted
   * @throws HoldfastError as `begin`
   */
  announce(principal: Principal, file: AnnouncedFile): Promise<string | null> {
    return this.#beginning.announce(principal, file);
  }

  /** A whole file in one request; nothing is left when it fails. @throws HoldfastError as `begin`, `append` and `complete` */
  store(
    principal: Principal,
    file: OneShot,
    source: AsyncIterable<Uint8Array>,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<FinishedUpload> {
    return this.#oneShots.store(principal, file, source, options.signal);
  }

  /** Once, before requests are taken: mends what a crash left between backends and catalog. */
  sweep(): Promise<void> {
    return this.#sweeping.run();
  }

  /** At start and hourly: ends what has expired, forgets what ended long ago, and carries on with what could not be completed. */
  async expire(): Promise<void> {
    await this.#expiry.run();
    await this.#sweeping.carryOn();
  }

  /** Sessions stay as they are; what is under way ends without an acknowledgement, and completions end where they can go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(
      new HoldfastError('shutting_down', 'The hub is shutting down; ask again in a moment.'),
    );
    await this.#completion.settled();
    await this.#lives[Symbol.asyncDispose]();
    this.#reports[Symbol.dispose]();
  }

  async #open(principal: Principal, id: string): Promise<Upload> {
    const upload = await this.session(principal, id);
    if (!isOpen(upload)) throw closedError(upload);
    return upload;
  }

  async #withChunks(upload: Upload): Promise<UploadState> {
    const receivedChunks =
      upload.protocol === 'chunks' && upload.receivedPieces > 0
        ? await this.#catalog.uploads.pieceNumbers(upload.id)
        : [];
    return { upload, receivedChunks };
  }
}
