import type { Catalog } from '@holdfast/catalog/catalog';
import type { HostFileReach, NewHostFile, RecordAnswer } from '@holdfast/catalog/host-files';
import type { PageQuery } from '@holdfast/contract/envelope';
import { HoldfastError } from '@holdfast/contract/errors';
import type {
  Content,
  DeletionNotice,
  HostFile,
  HostFileList,
  HostFileQuery,
  HostList,
} from '@holdfast/contract/host-files';
import type { Principal } from '../access/access.ts';
import type { Backends } from '../backends/backends.ts';
import type { Operations } from '../operations.ts';
import type { Vault } from '../vault/vault.ts';
import { openArchive, type ArchiveRequest, type HostArchive } from './archive.ts';
import { reachOf } from './reach.ts';
import { hostFileView } from './views.ts';

/** The clones that a content's description lists; it counts all of them. */
const MOST_CLONES = 1000;

/** A file as its machine describes it. */
export interface HostFileDescription {
  hostname: string;
  filepath: string;
  sha256: string;
  /** Bytes. */
  size: number;
  mtime: Date | null;
  /** Permission bits. */
  mode: number | null;
}

/** One of many files whose content was stored just now, or was there. */
export interface StoredHostFile extends HostFileDescription {
  /** `published`: `Vault.storeMany` has stored it, and the row of the content is still to be written. */
  content: { backendId: string; published: boolean };
}

/** A deletion that was noted. */
export interface DeletedHostFile {
  sha256: string;
  filepath: string;
  hostname: string;
  deletedAt: Date;
}

/** The files of machines: their versions, deletion and restore, and who may see what. */
export class HostFiles {
  readonly #catalog: Catalog;
  readonly #vault: Vault;
  readonly #backends: Backends;
  readonly #operations: Operations;

  constructor(options: { catalog: Catalog; vault: Vault; backends: Backends; operations: Operations }) {
    this.#catalog = options.catalog;
    this.#vault = options.vault;
    this.#backends = options.backends;
    this.#operations = options.operations;
  }

  /** How far a caller sees. */
  reachOf(principal: Principal): HostFileReach {
    return reachOf(principal);
  }

  /** @throws HoldfastError `forbidden` when the key is another machine's */
  requireHostname(principal: Principal, hostname: string): void {
    if (principal.hostname === null || principal.hostname === hostname) return;
    throw new HoldfastError(
      'forbidden',
      `The API key "${principal.actor}" is for files of ${principal.hostname}; it cannot send files of ${hostname}.`,
      { errors: [{ field: 'hostname', message: `must be ${principal.hostname}` }] },
    );
  }

  /**
   * Records a version of a file whose content is kept already.
   * @throws HoldfastError `forbidden`, `quota_exceeded`, `content_not_found` (it was collected meanwhile: send the bytes), `busy`
   */
  async record(
    principal: Principal,
    file: HostFileDescription,
  ): Promise<{ fileId: string; created: boolean }> {
    this.requireHostname(principal, file.hostname);
    const answer = await this.#catalog.hostFiles.record(newHostFile(principal, file), new Date());
    switch (answer.kind) {
      case 'recorded':
        return { fileId: answer.file.id, created: answer.created };
      case 'quota_exceeded':
        throw answer.error;
      case 'content_missing':
        throw contentNotFound(file.sha256);
      case 'content_removing':
        throw beingRemoved(file.sha256);
      default:
        return answer satisfies never;
    }
  }

  /**
   * Records up to 1000 files in one transaction, under `Vault.lockMany` of their contents; the rows of contents that were
   * published are made with them. The catalog's answers, in order. @throws HoldfastError `forbidden`
   */
  async recordMany(principal: Principal, files: readonly StoredHostFile[]): Promise<RecordAnswer[]> {
    for (const { hostname } of files) this.requireHostname(principal, hostname);
    const rows = files.map((file) => ({
      ...newHostFile(principal, file),
      // The row of a duplicate must be there: made anew it would stand for bytes that another hub has just removed.
      ...(file.content.published ? { content: { size: file.size, ...file.content } } : {}),
    }));
    return this.#catalog.hostFiles.recordMany(rows, new Date());
  }

  /** Which of these contents the caller may already read. */
  readable(sha256s: readonly string[], principal: Principal): Promise<Set<string>> {
    return this.#catalog.hostFiles.readable(sha256s, reachOf(principal));
  }

  /** @throws HoldfastError `content_not_found` unless a host file within reach refers to it */
  async requireReadable(sha256: string, principal: Principal): Promise<void> {
    const readable = await this.readable([sha256], principal);
    if (!readable.has(sha256)) throw contentNotFound(sha256);
  }

  async list(principal: Principal, query: HostFileQuery): Promise<HostFileList> {
    const { hostname, path_prefix: pathPrefix, sha256, cursor } = query;
    const page = await this.#catalog.hostFiles.list({
      reach: reachOf(principal),
      status: query.status,
      versions: query.versions,
      limit: query.limit,
      ...(hostname === undefined ? {} : { hostname }),
      ...(pathPrefix === undefined ? {} : { pathPrefix }),
      ...(sha256 === undefined ? {} : { sha256 }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    return {
      files: page.rows.map((row) => hostFileView(row, this.#vault.retentionMs)),
      total: page.total,
      ...(page.nextCursor === undefined ? {} : { next_cursor: page.nextCursor }),
    };
  }

  async hosts(principal: Principal, { limit, cursor }: PageQuery): Promise<HostList> {
    const page = await this.#catalog.hostFiles.hosts({
      reach: reachOf(principal),
      limit,
      deletedSince: this.#restorableSince(),
      ...(cursor === undefined ? {} : { cursor }),
    });
    return {
      hosts: page.rows.map((row) => ({
        hostname: row.hostname,
        files: row.files,
        bytes: row.bytes,
        deleted_files: row.deletedFiles,
        last_seen_at: row.lastSeenAt.toISOString(),
      })),
      total: page.total,
      ...(page.nextCursor === undefined ? {} : { next_cursor: page.nextCursor }),
    };
  }

  /** A content and its clones within reach. @throws HoldfastError `content_not_found` */
  async content(sha256: string, principal: Principal): Promise<Content> {
    const [content, clones] = await Promise.all([
      this.#catalog.contents.get(sha256),
      this.#catalog.hostFiles.clones(sha256, reachOf(principal), MOST_CLONES),
    ]);
    if (content === null || clones.total === 0) throw contentNotFound(sha256);
    return {
      sha256,
      size: content.size,
      backend_id: content.backendId,
      backend_name: this.#backends.find(content.backendId)?.row.name ?? null,
      created_at: content.createdAt.toISOString(),
      status: content.damage === null ? 'stored' : 'damaged',
      problem: content.damage,
      host_files: clones.files.map((row) => hostFileView(row, this.#vault.retentionMs)),
      host_files_total: clones.total,
    };
  }

  /** Marks current versions as deleted where the content is the one that is named. Repeating changes nothing. */
  async markDeleted(
    principal: Principal,
    notices: readonly DeletionNotice[],
  ): Promise<{ deleted: DeletedHostFile[]; notFound: DeletionNotice[] }> {
    const at = new Date();
    const answers = await this.#catalog.hostFiles.markDeletedMany(
      notices.map(({ hostname, filepath, sha256, deleted_at: deletedAt }) => ({
        hostname,
        filepath,
        sha256,
        ...(deletedAt === undefined ? {} : { deletedAt: new Date(deletedAt) }),
      })),
      { reach: reachOf(principal), at },
    );
    const deleted: DeletedHostFile[] = [];
    const notFound: DeletionNotice[] = [];
    for (const [index, notice] of notices.entries()) {
      const answer = answers[index];
      if (answer?.kind !== 'deleted') {
        notFound.push(notice);
        continue;
      }
      const { sha256, filepath, hostname, deletedAt } = answer.file;
      deleted.push({ sha256, filepath, hostname, deletedAt: deletedAt ?? at });
      if (answer.already) continue;
      this.#operations.finish({ operation: 'delete', actor: principal.actor, file: filepath }, at, {
        details: { hostname, sha256 },
      });
    }
    return { deleted, notFound };
  }

  /**
   * Makes a version the current one again, as a new version with its content.
   * @throws HoldfastError `host_file_not_found`, `upload_expired` past the retention, `quota_exceeded`, `busy`
   */
  async restore(principal: Principal, fileId: string): Promise<HostFile> {
    const at = new Date();
    const answer = await this.#catalog.hostFiles.restore(fileId, {
      reach: reachOf(principal),
      keyId: principal.keyId ?? '',
      actor: principal.actor,
      at,
      deletedAfter: this.#restorableSince(),
    });
    switch (answer.kind) {
      case 'restored': {
        const { hostname, filepath, sha256, size } = answer.file;
        const details = { action: 'restore', hostname, sha256, from: fileId };
        const start = { operation: 'metadata_change' as const, actor: principal.actor, file: filepath };
        this.#operations.finish(start, at, { bytes: size, details });
        return hostFileView(answer.file, this.#vault.retentionMs);
      }
      case 'expired':
        throw new HoldfastError(
          'upload_expired',
          `${answer.file.filepath} of ${answer.file.hostname} was deleted longer ago than deleted files are kept, and can no longer be restored.`,
        );
      case 'quota_exceeded':
        throw answer.error;
      case 'content_removing':
        throw beingRemoved(fileId);
      case 'not_found':
        throw new HoldfastError('host_file_not_found', `There is no host file with the id ${fileId}.`);
      default:
        return answer satisfies never;
    }
  }

  /**
   * A machine's files at a time as one archive; its bytes are made while they are read.
   * @throws HoldfastError `host_file_not_found` when nothing is within reach, `backend_unavailable`
   */
  archive(principal: Principal, request: ArchiveRequest, signal: AbortSignal): Promise<HostArchive> {
    return openArchive(request, {
      catalog: this.#catalog,
      vault: this.#vault,
      reach: reachOf(principal),
      signal,
    });
  }

  /** Files whose deletion was noted after this can be restored. */
  #restorableSince(): Date {
    return new Date(Date.now() - this.#vault.retentionMs);
  }
}

function newHostFile(principal: Principal, file: HostFileDescription): NewHostFile {
  const { hostname, filepath, sha256, mtime, mode } = file;
  return { hostname, filepath, sha256, mtime, mode, keyId: principal.keyId ?? '', actor: principal.actor };
}

function contentNotFound(sha256: string): HoldfastError {
  return new HoldfastError(
    'content_not_found',
    `There is no content ${sha256} within the reach of this key.`,
  );
}

function beingRemoved(what: string): HoldfastError {
  return new HoldfastError(
    'busy',
    `The content of ${what} is just being removed, because nothing referred to it. Try again in a moment.`,
  );
}
