import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { ChecksumRecord } from '@holdfast/catalog/checksums';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { ListPage, OpenFile, StorageBackend, StorageEntry } from '@holdfast/storage/backend';
import type { StagedUpload } from '@holdfast/storage/contents';
import type { Backends } from '../backends/backends.ts';
import type { Events } from '../events.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Metrics } from '../metrics.ts';
import type { Operations } from '../operations.ts';
import type { Checksums } from './checksums.ts';
import { holdsBytes, placeStaged, requirePlace, type PlaceOptions } from './placing.ts';

/** Up to this size a file without a checksum is hashed before its first byte is served; larger ones in the background. */
const HASH_BEFORE_SERVING_BYTES = 64 * 1024 * 1024;

/** An entry with what is known of its content. */
export interface LibraryEntry {
  entry: StorageEntry;
  checksum: Pick<ChecksumRecord, 'sha256' | 'computedAt'> | null;
  /** Children of a folder; null for files and where it is not known. */
  itemCount: number | null;
}

/** An open file and the SHA-256 of exactly the version that is open; null while it is still being computed. */
export interface OpenLibraryFile {
  file: OpenFile;
  sha256: string | null;
}

export interface StoreOptions {
  actor: string;
  expectedSha256?: string | undefined;
  expectedSize?: number | undefined;
  /** If-None-Match: * */
  ifAbsent?: boolean;
  /** If-Match: the file that is replaced must have one of these SHA-256, or exist at all for `any`. */
  ifMatch?: 'any' | readonly string[] | undefined;
  signal?: AbortSignal;
}

/** Files at backend paths, together with their checksum records. */
export class Library {
  readonly #catalog: Catalog;
  readonly #backends: Backends;
  readonly #checksums: Checksums;
  readonly #events: Events;
  readonly #operations: Operations;
  readonly #metrics: Metrics;
  readonly #jobs: Jobs;

  constructor(options: {
    catalog: Catalog;
    backends: Backends;
    checksums: Checksums;
    events: Events;
    operations: Operations;
    metrics: Metrics;
    jobs: Jobs;
  }) {
    this.#catalog = options.catalog;
    this.#backends = options.backends;
    this.#checksums = options.checksums;
    this.#events = options.events;
    this.#operations = options.operations;
    this.#metrics = options.metrics;
    this.#jobs = options.jobs;
  }

  /** Opens a file for reading with its digest, when that is known or quickly computed. */
  async open(backendId: string, path: BackendPath, signal?: AbortSignal): Promise<OpenLibraryFile> {
    const { storage } = this.#backends.get(backendId);
    for (let attempt = 0; ; attempt++) {
      const file = await storage.open(path, signal === undefined ? {} : { signal });
      try {
        const record = await this.#checksums.known(backendId, file.entry);
        if (record !== null) return { file, sha256: record.sha256 };
        if (file.entry.size > HASH_BEFORE_SERVING_BYTES) {
          this.#hashInBackground(backendId, storage, path);
          return { file, sha256: null };
        }
        const { sha256, entry } = await this.#checksums.compute(backendId, storage, path);
        if (entry.validator === file.entry.validator) return { file, sha256 };
        if (attempt >= 2) return { file, sha256: null }; // replaced again and again: serve what is open, without a digest
      } catch (error) {
        await file[Symbol.asyncDispose]();
        throw error;
      }
      await file[Symbol.asyncDispose]();
    }
  }

  /** Stores a file; resolves when it is durable and its checksum is kept. */
  async store(
    backendId: string,
    path: BackendPath,
    source: AsyncIterable<Uint8Array>,
    options: StoreOptions,
  ): Promise<{ stored: LibraryEntry; replaced: boolean }> {
    const { storage } = this.#writable(backendId);
    return this.#operations.run(
      { operation: 'upload', actor: options.actor, backendId, file: path },
      async () => {
        const { ifMatch } = options;
        const written = await storage.write(path, source, {
          ...(options.expectedSha256 === undefined ? {} : { expectedSha256: options.expectedSha256 }),
          ...(options.expectedSize === undefined ? {} : { expectedSize: options.expectedSize }),
          ...(options.signal === undefined ? {} : { signal: options.signal }),
          ifAbsent: options.ifAbsent ?? false,
          ...(ifMatch === undefined
            ? {}
            : {
                precondition: (existing) => this.#requireMatch(backendId, storage, path, existing, ifMatch),
              }),
        });
        await this.#keepAndAnnounce(backendId, written.entry, written.sha256);
        this.#metrics.bytesStored.inc(written.entry.size);
        const stored = {
          entry: written.entry,
          checksum: { sha256: written.sha256, computedAt: new Date() },
          itemCount: null,
        };
        return {
          result: { stored, replaced: written.replaced },
          bytes: written.entry.size,
          details: { sha256: written.sha256 },
        };
      },
    );
  }

  /**
   * Whether a file may be placed at a path as things are now.
   * @throws HoldfastError `already_exists`, `is_a_directory`, `not_a_directory`, `invalid_path`, `read_only`, `backend_not_found`
   */
  async requirePlace(backendId: string, path: BackendPath, options: { overwrite: boolean }): Promise<void> {
    await requirePlace(this.#writable(backendId).storage, path, options.overwrite);
  }

  /**
   * Gives the sealed bytes of an upload their place; resolves when the file is durable and its checksum is kept.
   * @throws HoldfastError as `requirePlace`; `file_not_found` when nothing is staged, `storage_full`, `backend_unavailable`, `cancelled`
   */
  async place(
    backendId: string,
    path: BackendPath,
    staged: StagedUpload,
    options: PlaceOptions,
  ): Promise<void> {
    const { storage } = this.#writable(backendId);
    const entry = await placeStaged(storage, path, staged, options);
    await this.#keepAndAnnounce(backendId, entry, options.sha256);
    this.#metrics.bytesStored.inc(entry.size);
  }

  /** Whether a file with exactly these bytes stands at a path; its checksum is kept then, and the change announced. */
  async confirmPlaced(
    backendId: string,
    path: BackendPath,
    bytes: { sha256: string; size: number; signal: AbortSignal },
  ): Promise<boolean> {
    const { storage } = this.#backends.get(backendId);
    const digest = async (entry: StorageEntry): Promise<string> =>
      (await this.#checksums.known(backendId, entry))?.sha256 ??
      (await this.#checksums.compute(backendId, storage, path, bytes.signal)).sha256;
    const entry = await holdsBytes(storage, path, bytes, digest);
    if (entry !== null) await this.#keepAndAnnounce(backendId, entry, bytes.sha256);
    return entry !== null;
  }

  /** Where files with a content stand, by backend and path, as their checksum records say; null: no limit. */
  find(
    sha256: string,
    options: {
      limit: number;
      cursor: string | undefined;
      backendId: string | null;
      folder: BackendPath | null;
    },
  ): Promise<{ rows: ChecksumRecord[]; nextCursor?: string }> {
    const { limit, cursor, backendId, folder } = options;
    return this.#catalog.checksums.findBySha256(sha256, {
      limit,
      ...(cursor === undefined ? {} : { cursor }),
      ...(backendId === null ? {} : { backendId }),
      ...(folder === null ? {} : { folder }),
    });
  }

  /** One page of a folder; for the path of a file, that file alone. */
  async list(
    backendId: string,
    path: BackendPath,
    options: { recursive?: boolean; limit: number; cursor?: string | undefined; signal?: AbortSignal },
  ): Promise<{ entries: LibraryEntry[]; nextCursor?: string; total?: number }> {
    const { storage } = this.#backends.get(backendId);
    let page: ListPage;
    try {
      page = await storage.list(path, {
        recursive: options.recursive ?? false,
        limit: options.limit,
        ...(options.cursor === undefined ? {} : { cursor: options.cursor }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
    } catch (error) {
      if (!isHoldfastError(error, 'not_a_directory')) throw error;
      return { entries: [await this.describe(backendId, path)], total: 1 };
    }
    const records = await this.#checksums.knownOf(backendId, page.entries);
    const entries = await Promise.all(
      page.entries.map(async (entry) => ({
        entry,
        checksum: records.get(entry.path) ?? null,
        itemCount: entry.type === 'directory' ? await countChildren(storage, entry.path) : null,
      })),
    );
    return {
      entries,
      ...(page.nextCursor === undefined ? {} : { nextCursor: page.nextCursor }),
      ...(page.total === undefined ? {} : { total: page.total }),
    };
  }

  /** One entry in detail; a file without a checksum gets one in the background. */
  async describe(backendId: string, path: BackendPath): Promise<LibraryEntry> {
    const { storage } = this.#backends.get(backendId);
    const entry = await storage.stat(path);
    if (entry.type === 'directory')
      return { entry, checksum: null, itemCount: await countChildren(storage, path) };
    const checksum = await this.#checksums.known(backendId, entry);
    if (checksum === null) this.#hashInBackground(backendId, storage, path);
    return { entry, checksum, itemCount: null };
  }

  /** Reads a file back and compares it with its record; `verified` is null where there was none before. */
  async recheck(
    backendId: string,
    path: BackendPath,
  ): Promise<{ size: number; sha256: string | null; verified: boolean | null }> {
    const { storage } = this.#backends.get(backendId);
    await using file = await storage.open(path);
    const record = await this.#checksums.known(backendId, file.entry);
    if (record === null) {
      const { sha256, entry } = await this.#checksums.compute(backendId, storage, path);
      return { size: entry.size, sha256, verified: null };
    }
    const actual = await this.#checksums.hash(file);
    return { size: file.entry.size, sha256: record.sha256, verified: actual === record.sha256 };
  }

  /** @returns how many files and folders were removed */
  async remove(
    backendId: string,
    path: BackendPath,
    options: { recursive: boolean; actor: string },
  ): Promise<number> {
    const { storage } = this.#writable(backendId);
    return this.#operations.run(
      { operation: 'delete', actor: options.actor, backendId, file: path },
      async () => {
        const removed = await storage.remove(path, { recursive: options.recursive });
        await this.#catalog.checksums.removeTree(backendId, path);
        this.#events.publish({ type: 'file.deleted', backend_id: backendId, path });
        return { result: removed, details: { removed } };
      },
    );
  }

  async move(
    backendId: string,
    from: BackendPath,
    to: BackendPath,
    options: { overwrite: boolean; actor: string },
  ): Promise<LibraryEntry> {
    const { storage } = this.#writable(backendId);
    if (!storage.capabilities.move || storage.move === undefined) throw notSupported('move files');
    const move = storage.move.bind(storage);
    const details = { action: 'move', destination: to };
    return this.#operations.run(
      { operation: 'metadata_change', actor: options.actor, backendId, file: from, details },
      async () => {
        const before = await storage.stat(from);
        const record = before.type === 'file' ? await this.#checksums.known(backendId, before) : null;
        const entry = await move(from, to, { overwrite: options.overwrite });
        await this.#catalog.checksums.moveTree(backendId, from, to);
        if (
          record !== null &&
          entry.size === record.size &&
          entry.modifiedAt.getTime() === before.modifiedAt.getTime()
        ) {
          await this.#checksums.keep(backendId, entry, record.sha256); // renaming changed the validator, not the bytes
        }
        this.#events.publish({ type: 'file.deleted', backend_id: backendId, path: from });
        this.#events.publish({
          type: 'file.changed',
          backend_id: backendId,
          path: to,
          size: entry.size,
          checksum_sha256: record?.sha256 ?? null,
        });
        const checksum = record === null ? null : { sha256: record.sha256, computedAt: record.computedAt };
        return { result: { entry, checksum, itemCount: null }, details };
      },
    );
  }

  async copy(
    backendId: string,
    from: BackendPath,
    to: BackendPath,
    options: { overwrite: boolean; actor: string; signal?: AbortSignal },
  ): Promise<LibraryEntry> {
    const { storage } = this.#writable(backendId);
    if (!storage.capabilities.copy || storage.copy === undefined) throw notSupported('copy files');
    const copy = storage.copy.bind(storage);
    const details = { action: 'copy', destination: to };
    return this.#operations.run(
      { operation: 'metadata_change', actor: options.actor, backendId, file: from, details },
      async () => {
        const source = await this.#checksums.known(backendId, await storage.stat(from));
        const { entry, sha256 } = await copy(from, to, {
          overwrite: options.overwrite,
          ...(options.signal === undefined ? {} : { signal: options.signal }),
          ...(source === null ? {} : { expectedSha256: source.sha256 }), // a source that rotted is not multiplied
        });
        await this.#keepAndAnnounce(backendId, entry, sha256);
        return {
          result: { entry, checksum: { sha256, computedAt: new Date() }, itemCount: null },
          bytes: entry.size,
          details,
        };
      },
    );
  }

  async makeFolder(backendId: string, path: BackendPath, actor: string): Promise<LibraryEntry> {
    const { storage } = this.#writable(backendId);
    if (!storage.capabilities.folders || storage.makeFolder === undefined) throw notSupported('make folders');
    const makeFolder = storage.makeFolder.bind(storage);
    const details = { action: 'make_folder' };
    return this.#operations.run(
      { operation: 'metadata_change', actor, backendId, file: path, details },
      async () => {
        return { result: { entry: await makeFolder(path), checksum: null, itemCount: 0 }, details };
      },
    );
  }

  #writable(backendId: string): { storage: StorageBackend } {
    const { storage, row } = this.#backends.get(backendId);
    if (!storage.capabilities.writable)
      throw new HoldfastError('read_only', `The backend "${row.name}" is read-only.`);
    return { storage };
  }

  async #keepAndAnnounce(backendId: string, entry: StorageEntry, sha256: string): Promise<void> {
    await this.#checksums.keep(backendId, entry, sha256);
    this.#events.publish({
      type: 'file.changed',
      backend_id: backendId,
      path: entry.path,
      size: entry.size,
      checksum_sha256: sha256,
    });
  }

  #hashInBackground(backendId: string, storage: StorageBackend, path: BackendPath): void {
    this.#jobs.spawn(`checksum of ${path}`, async (signal) => {
      await this.#checksums.compute(backendId, storage, path, signal);
    });
  }

  async #requireMatch(
    backendId: string,
    storage: StorageBackend,
    path: BackendPath,
    existing: StorageEntry | null,
    ifMatch: 'any' | readonly string[],
  ): Promise<void> {
    if (existing === null || existing.type !== 'file') {
      throw new HoldfastError('precondition_failed', `If-Match: there is no file at ${path}.`);
    }
    if (ifMatch === 'any') return;
    const known = await this.#checksums.known(backendId, existing);
    const sha256 = known?.sha256 ?? (await this.#checksums.compute(backendId, storage, path)).sha256;
    if (!ifMatch.includes(sha256)) {
      throw new HoldfastError(
        'precondition_failed',
        `If-Match: ${path} now has the SHA-256 ${sha256}; somebody changed it meanwhile.`,
      );
    }
  }
}

async function countChildren(storage: StorageBackend, path: BackendPath): Promise<number | null> {
  if (storage.countChildren === undefined) return null;
  try {
    return await storage.countChildren(path);
  } catch (error) {
    if (isHoldfastError(error)) return null; // removed meanwhile, or unreadable: the listing itself still stands
    throw error;
  }
}

function notSupported(what: string): HoldfastError {
  return new HoldfastError('not_supported', `This backend cannot ${what}.`);
}
