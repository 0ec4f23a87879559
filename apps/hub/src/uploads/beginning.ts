import { randomUUID } from 'node:crypto';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { JsonObject } from '@holdfast/contract/json';
import type { Upload } from '@holdfast/catalog/uploads';
import { chunkCount } from '@holdfast/bytes/chunk-plan';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { MAX_CHUNKS, MAX_FILE_BYTES } from '@holdfast/contract/uploads';
import type { ChunkAdvice } from '@holdfast/storage/contents';
import { requireReach, requireReachOfBackend, type Principal } from '../access/access.ts';
import type { HostFiles } from '../host-files/host-files.ts';
import type { Library } from '../library/library.ts';
import type { Vault } from '../vault/vault.ts';
import type { Lifetime } from './lifetime.ts';
import type { UploadReports } from './reports.ts';
import { closedError, notFoundError, refusedField } from './session-state.ts';
import type { Space, VaultBackend } from './space.ts';

/** A path of the backend at which an upload ends, instead of becoming a host file. */
export interface Destination {
  path: BackendPath;
  /** Take the place of a file that is there. */
  overwrite: boolean;
}

/** What is to be uploaded, and how. */
export interface UploadSpec {
  protocol: Upload['protocol'];
  filepath: string;
  hostname: string;
  /** Lower-case hex; null: not known yet. */
  sha256: string | null;
  /** Bytes; null: not known yet (tus). */
  size: number | null;
  /** Bytes of each chunk but the last; null: no chunks of one size (tus). */
  chunkSize: number | null;
  mtime: Date | null;
  mode: number | null;
  /** Default: the backend that the key is limited to, else the ingest backend. */
  backendId?: string | undefined;
  /** Where it is to stand; then there is no host file, and hostname and filepath say nothing. */
  destination?: Destination | undefined;
  /** Kept as it is. */
  metadata?: JsonObject | null;
  /** A part of a concatenation: never completed by itself, and never a file. */
  isPartial?: boolean;
  /** False: the bytes are wanted even when the caller may read the content already. */
  deduplicate?: boolean;
  /** Bytes of the quota to reserve; default: the size. */
  reservedBytes?: number;
}

/** A file that is to come in one request. */
export type AnnouncedFile = Pick<UploadSpec, 'filepath' | 'hostname' | 'mtime' | 'mode'> & {
  sha256: string;
  size: number;
};

/** What came of it: a session, or the file itself when its content needs no upload. */
export type Begun =
  | { kind: 'deduplicated'; fileId: string; sha256: string }
  | { kind: 'session'; session: Upload };

/** Begins uploads. Everything that can be refused is refused here, before the bytes travel. */
export class Beginning {
  readonly #catalog: Catalog;
  readonly #vault: Vault;
  readonly #hostFiles: HostFiles;
  readonly #library: Library;
  readonly #space: Space;
  readonly #lifetime: Lifetime;
  readonly #reports: UploadReports;

  constructor(options: {
    catalog: Catalog;
    vault: Vault;
    hostFiles: HostFiles;
    library: Library;
    space: Space;
    lifetime: Lifetime;
    reports: UploadReports;
  }) {
    this.#catalog = options.catalog;
    this.#vault = options.vault;
    this.#hostFiles = options.hostFiles;
    this.#library = options.library;
    this.#space = options.space;
    this.#lifetime = options.lifetime;
    this.#reports = options.reports;
  }

  /**
   * @throws HoldfastError `forbidden`, `backend_not_found`, `backend_unavailable`, `read_only`, `wrong_volume`, `quota_exceeded`,
   *   `storage_full`, `validation_failed` (naming the field); with a destination `already_exists`, `is_a_directory`, `not_a_directory`,
   *   `invalid_path`
   */
  async begin(principal: Principal, spec: UploadSpec): Promise<Begun> {
    const { destination } = spec;
    if (destination === undefined) this.#hostFiles.requireHostname(principal, spec.hostname);
    const backend = this.backendFor(principal, spec.backendId);
    if (destination !== undefined) {
      requireReach(principal, backend.id, destination.path);
      await this.#library.requirePlace(backend.id, destination.path, destination);
    }
    const known = await this.#deduplicated(principal, spec);
    if (known !== undefined) return known;
    requirePlan(spec, backend.contents.staging.advice);
    if (spec.size !== null) await this.#space.require(backend, spec.size);
    return { kind: 'session', session: await this.#insert(principal, spec, backend) };
  }

  /** As `begin`, without beginning anything. @returns the id of a file whose content was there; null when its bytes are wanted */
  async announce(principal: Principal, file: AnnouncedFile): Promise<string | null> {
    this.#hostFiles.requireHostname(principal, file.hostname);
    const backend = this.backendFor(principal, undefined);
    const spec: UploadSpec = { ...file, protocol: 'tus', chunkSize: null };
    const known = await this.#deduplicated(principal, spec);
    if (known?.kind === 'deduplicated') return known.fileId;
    requirePlan(spec, backend.contents.staging.advice);
    await this.#requireQuota(requireKey(principal), file.size);
    await this.#space.require(backend, file.size);
    return null;
  }

  /** The backend that takes a caller's uploads. @throws HoldfastError `forbidden` and those of `Vault.backendFor` */
  backendFor(principal: Principal, backendId: string | undefined): VaultBackend {
    const backend = this.#vault.backendFor(backendId ?? principal.backendId);
    requireReachOfBackend(principal, backend.id);
    return backend;
  }

  /** Tells the size of an upload that was begun without one. @throws HoldfastError `quota_exceeded`, `storage_full`, `conflict` */
  async declareSize(upload: Upload, size: number): Promise<Upload> {
    if (size > MAX_FILE_BYTES) throw refusedField('too_large', 'Upload-Length', 'must be at most 5 TiB');
    const backend = this.#vault.backendOf(upload.backendId);
    if (upload.size === null) await this.#space.require(backend, Math.max(0, size - upload.receivedBytes));
    const sized = await this.#catalog.uploads.setSize(upload.id, size);
    if (sized !== null) return sized;
    const current = await this.#catalog.uploads.get(upload.id);
    throw current === null ? notFoundError(upload.id) : closedError(current);
  }

  /** The host file is there at once when the caller may read the content already; undefined: an upload is needed. */
  async #deduplicated(principal: Principal, spec: UploadSpec): Promise<Begun | undefined> {
    const { sha256, size, hostname, filepath, mtime, mode } = spec;
    if (sha256 === null || size === null || spec.isPartial === true || spec.deduplicate === false)
      return undefined;
    if (spec.destination !== undefined) return undefined;
    if (!(await this.#hostFiles.readable([sha256], principal)).has(sha256)) return undefined;
    try {
      await using _lock = await this.#vault.lock(sha256);
      const content = await this.#vault.presence(sha256);
      if (content.kind !== 'kept') return undefined; // its backend has lost it: the bytes are welcome
      if (content.size !== size) {
        const message = `must be ${content.size}, as the content with this SHA-256 has it`;
        throw refusedField('validation_failed', 'file_size', message);
      }
      const file = { hostname, filepath, sha256, size, mtime, mode };
      const { fileId } = await this.#hostFiles.record(principal, file);
      this.#reports.deduplicated({ actor: principal.actor, backendId: content.backendId, ...file });
      return { kind: 'deduplicated', fileId, sha256 };
    } catch (error) {
      // Collected between the question and the record: then it is an upload like any other.
      if (isHoldfastError(error, 'content_not_found') || isHoldfastError(error, 'busy')) return undefined;
      throw error;
    }
  }

  async #requireQuota(keyId: string, size: number): Promise<void> {
    const [key, usage] = await Promise.all([this.#catalog.keys.get(keyId), this.#catalog.keys.usage(keyId)]);
    const left = (key?.quotaBytes ?? Infinity) - usage.bytes - usage.reservedBytes;
    if (size > left) {
      const message = `${size} bytes are more than the ${Math.max(0, left)} that the quota of this API key has left`;
      throw refusedField('quota_exceeded', 'file_size', message);
    }
    if ((key?.quotaFiles ?? Infinity) - usage.files - usage.reservedFiles < 1)
      throw refusedField('quota_exceeded', 'quota_files', 'is used up: this API key may keep no more files');
  }

  async #insert(principal: Principal, spec: UploadSpec, backend: VaultBackend): Promise<Upload> {
    const { protocol, filepath, hostname, sha256, size, chunkSize, mtime, mode } = spec;
    const id = randomUUID();
    const { staging } = backend.contents;
    const state = await staging.create({ id, size, chunkSize });
    try {
      const session = await this.#catalog.uploads.insert({
        id,
        protocol,
        keyId: requireKey(principal),
        actor: principal.actor,
        hostname,
        filepath,
        backendId: backend.id,
        expiresAt: this.#lifetime.next(),
        sha256,
        size,
        chunkSize,
        totalChunks: size === null || chunkSize === null ? 0 : chunkCount({ size, chunkSize }),
        mtime,
        mode,
        stagingState: state,
        metadata: spec.metadata ?? null,
        isPartial: spec.isPartial ?? false,
        destinationPath: spec.destination?.path ?? null,
        overwrite: spec.destination?.overwrite ?? false,
        ...(spec.reservedBytes === undefined ? {} : { reservedBytes: spec.reservedBytes }),
      });
      this.#reports.started(session);
      return session;
    } catch (error) {
      await using staged = await staging.resume({ id, state, size, chunkSize });
      await staged.discard();
      throw error;
    }
  }
}

/** The key that makes a request. @throws HoldfastError `unauthenticated` for a caller without one */
export function requireKey({ keyId }: Principal): string {
  if (keyId === null) throw new HoldfastError('unauthenticated', 'Uploads need an API key.');
  return keyId;
}

/** @throws HoldfastError `validation_failed`, `too_large`; `errors` names the field */
function requirePlan({ size, chunkSize }: UploadSpec, advice: ChunkAdvice): void {
  if (size !== null && size > MAX_FILE_BYTES)
    throw refusedField('too_large', 'file_size', 'must be at most 5 TiB');
  if (size === null || chunkSize === null) return;
  const chunks = chunkCount({ size, chunkSize });
  const most = Math.min(MAX_CHUNKS, advice.maxChunks);
  if (chunks > most) {
    const least = Math.ceil(size / most);
    throw refusedField(
      'validation_failed',
      'chunk_size',
      `must be at least ${least}: this backend takes ${most} chunks`,
    );
  }
  if (chunks > 1 && chunkSize < advice.minimum)
    throw refusedField(
      'validation_failed',
      'chunk_size',
      `must be at least ${advice.minimum} on this backend`,
    );
  if (Math.min(size, chunkSize) > advice.maximum)
    throw refusedField(
      'validation_failed',
      'chunk_size',
      `must be at most ${advice.maximum} on this backend`,
    );
}
