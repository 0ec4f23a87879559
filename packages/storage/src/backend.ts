import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { ContentArea } from './contents.ts';

/** What a backend can do beyond the required operations. Callers ask the capability, never the type. */
export interface Capabilities {
  /** Bytes can be written, removed and made. */
  writable: boolean;
  /** `move` is there, and is atomic unless `moveInSteps` is set. */
  move: boolean;
  /** `move` is a copy and a removal: a crash between the two leaves the file under both names, never under neither. */
  moveInSteps?: boolean;
  /** `copy` is there. */
  copy: boolean;
  /** Folders exist on their own (`makeFolder`), not only as prefixes of files. */
  folders: boolean;
  /** `usage` is there. */
  usage: boolean;
  /** Open files can be read at any offset into a caller's buffer (`OpenFile.readInto`). */
  positionalRead: boolean;
}

/** A file or folder as a backend knows it. `validator` changes whenever the bytes may have changed. */
export interface StorageEntry {
  name: string;
  path: BackendPath;
  type: 'file' | 'directory';
  /** Bytes; 0 for a folder. */
  size: number;
  modifiedAt: Date;
  /** What a checksum record is bound to: mtime, size, inode (local), or an ETag. Empty for folders. */
  validator: string;
}

export interface ListOptions {
  /** Walk subfolders too. */
  recursive?: boolean;
  /** Entries in one page, 1–1000. Default 100. */
  limit?: number;
  /** `nextCursor` of the page before. */
  cursor?: string;
  signal?: AbortSignal;
}

export interface ListPage {
  entries: StorageEntry[];
  /** Set when there is more. */
  nextCursor?: string;
  /** All entries of the listing when the backend knows it without extra work. */
  total?: number;
}

/** A half-open byte range: `start` inclusive, `end` exclusive. */
export interface ByteRange {
  start: number;
  end: number;
}

/** One consistent opened version of a file: a later overwrite of the path does not change what it reads. */
export interface OpenFile extends AsyncDisposable {
  readonly entry: StorageEntry;
  /** With a local descriptor: its number, for worker threads. Valid until the file is disposed. */
  readonly fd?: number;
  /** The bytes of a range (default all), in order. Throws when the file turns out shorter than `entry.size`. */
  stream(range?: ByteRange, options?: { signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  /** With `capabilities.positionalRead`: fills `buffer` from `position`; resolves to the bytes read (0 at the end). */
  readInto?(buffer: Uint8Array, position: number): Promise<number>;
  /** The entry as it is now (same open version): tells whether the bytes were changed in place while reading. */
  revalidate(): Promise<StorageEntry>;
}

export interface WriteOptions {
  /** Lower-case hex SHA-256 that the bytes must have; otherwise `checksum_mismatch` and nothing changes. */
  expectedSha256?: string;
  /** Size in bytes that the source must have; otherwise `incomplete_body` and nothing changes. */
  expectedSize?: number;
  /** Refuse with `precondition_failed` when the path exists at the moment of publishing (If-None-Match: *). */
  ifAbsent?: boolean;
  /**
   * Called at the moment of publishing, under the path's lock, with the entry that would be replaced (or null).
   * Throwing refuses the write and nothing changes (If-Match).
   */
  precondition?: (existing: StorageEntry | null) => Promise<void> | void;
  signal?: AbortSignal;
}

export interface WriteResult {
  entry: StorageEntry;
  /** Lower-case hex SHA-256 of the very bytes stored. */
  sha256: string;
  /** True when a file was replaced. */
  replaced: boolean;
}

export interface MoveOptions {
  overwrite?: boolean;
  signal?: AbortSignal;
}

export interface CopyOptions extends MoveOptions {
  /** Lower-case hex SHA-256 that the source must have; otherwise `checksum_mismatch` and no copy is made. */
  expectedSha256?: string;
}

export interface Usage {
  usedBytes: number;
  totalBytes: number;
}

/** One named check of `probe`, with what to do when it failed. */
export interface ProbeCheck {
  name: string;
  ok: boolean;
  message: string;
}

export interface ProbeReport {
  ok: boolean;
  checks: ProbeCheck[];
  latencyMs: number;
}

/** What `sweep` cleaned up after a crash. */
export interface SweepReport {
  removed: number;
  bytes: number;
}

/**
 * A storage: bytes at paths. Every failure is a HoldfastError: `file_not_found`, `invalid_path`,
 * `is_a_directory`, `not_a_directory`, `not_empty`, `already_exists`, `precondition_failed`,
 * `checksum_mismatch`, `incomplete_body`, `read_only`, `storage_full`, `wrong_volume`,
 * `backend_unavailable` (root or volume gone; nothing is created in its place), `cancelled`.
 * The reserved area `/.holdfast` never shows in listings and is `invalid_path` everywhere.
 */
export interface StorageBackend extends AsyncDisposable {
  readonly type: string;
  readonly capabilities: Capabilities;
  /** Named checks in order; never throws for a failing check. */
  probe(options?: { signal?: AbortSignal }): Promise<ProbeReport>;
  stat(path: BackendPath, options?: { signal?: AbortSignal }): Promise<StorageEntry>;
  /**
   * A check that tells, by one local system call and without waiting, whether the file at the entry's path is still
   * exactly that version; undefined when it is not even now. Lets a cache in memory prove that it is not stale.
   */
  freshness?(entry: StorageEntry): (() => boolean) | undefined;
  /** Direct children (or the whole subtree) of a folder in a stable order (by path, code units). */
  list(path: BackendPath, options?: ListOptions): Promise<ListPage>;
  open(path: BackendPath, options?: { signal?: AbortSignal }): Promise<OpenFile>;
  /** Stores the source under the path, durably and atomically; missing parent folders are made. */
  write(path: BackendPath, source: AsyncIterable<Uint8Array>, options?: WriteOptions): Promise<WriteResult>;
  /** Removes a file or an empty folder; with `recursive` a whole folder. The root is refused. Resolves to files and folders removed. */
  remove(path: BackendPath, options?: { recursive?: boolean; signal?: AbortSignal }): Promise<number>;
  move?(from: BackendPath, to: BackendPath, options?: MoveOptions): Promise<StorageEntry>;
  /** Copies the bytes; the digest is computed from the bytes as they are copied. */
  copy?(from: BackendPath, to: BackendPath, options?: CopyOptions): Promise<WriteResult>;
  makeFolder?(path: BackendPath): Promise<StorageEntry>;
  usage?(options?: { signal?: AbortSignal }): Promise<Usage>;
  /** The vault, and the uploads on their way into it; absent where nothing can be written. */
  readonly contents?: ContentArea;
  /** How many children a folder has. */
  countChildren?(path: BackendPath): Promise<number>;
  /** Removes what an interrupted write of this hub left in the reserved area. Called once at start. */
  sweep(): Promise<SweepReport>;
}
