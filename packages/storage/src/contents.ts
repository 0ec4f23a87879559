import type { BackendPath } from '@holdfast/bytes/backend-path';
import type { JsonObject } from '@holdfast/contract/json';
import type { OpenFile, WriteResult } from './backend.ts';

/** Content as it is kept in a backend's vault. */
export interface StoredContent {
  /** Lower-case hex; the name under which it is kept. */
  sha256: string;
  /** Bytes. */
  size: number;
  storedAt: Date;
}

export interface ContentPage {
  contents: StoredContent[];
  /** Set when there is more: the `after` of the next page. */
  next?: string;
}

/** A small content that is in memory as a whole, and known by its digest. */
export interface SmallContent {
  sha256: string;
  bytes: Uint8Array;
}

export interface StoreContentOptions {
  /** Lower-case hex SHA-256 that the bytes must have; otherwise `checksum_mismatch` and nothing changes. */
  expectedSha256?: string;
  /** Bytes that the source must have; otherwise `incomplete_body` and nothing changes. */
  expectedSize?: number;
  signal?: AbortSignal;
}

/** `stored` is false when the vault held the content already: then it is still there once. */
export interface StoreContentResult {
  sha256: string;
  size: number;
  stored: boolean;
}

/** What a client should plan its chunks by; bytes. */
export interface ChunkAdvice {
  /** All chunks but the last have at least this many bytes. */
  minimum: number;
  preferred: number;
  maximum: number;
  /** Chunks of one upload at most. */
  maxChunks: number;
}

/** What identifies a staged upload. Kept by the caller, so that any hub can go on with it. */
export interface StagedUploadKey {
  /** The caller's id of the session: letters, digits and `-`, at most 64. */
  id: string;
  /** What `UploadStaging.create` answered (an S3 UploadId, say). */
  state: JsonObject;
  /** Bytes of the whole; null when it is not known yet. */
  size: number | null;
  /** Bytes of each chunk but the last; null when there are no fixed chunks (tus). */
  chunkSize: number | null;
}

export interface ReceiveOptions {
  /** Bytes that come. Fewer: `incomplete_body`; more: `too_large`. Undefined: as many as come. */
  length?: number;
  /** Bytes that the upload may still take at most, when `length` is not given. */
  limit?: number;
  /** Lower-case hex SHA-256 that these bytes must have; otherwise `checksum_mismatch`, and they do not count. */
  expectedSha256?: string;
  /**
   * When the source breaks off (an error of the source, or the signal): keep what came, make it durable and resolve with
   * `complete: false`, instead of rejecting. For tus.
   */
  keepPartial?: boolean;
  /** Told after each buffer, with the bytes taken so far in this call. */
  onProgress?: (bytes: number) => void;
  signal?: AbortSignal;
}

export interface Received {
  /** Bytes taken, durable now. */
  bytes: number;
  /** Lower-case hex SHA-256 of these bytes. */
  sha256: string;
  complete: boolean;
  /** What the backend wants to be given back with `seal` (the ETag of an S3 part); kept with the chunk. */
  receipt?: string;
}

/** A piece of an upload that was acknowledged: where it is, and its receipt. */
export interface ReceivedPiece {
  position: number;
  bytes: number;
  receipt: string | null;
}

/** What `StagedUpload.place` is told of the sealed bytes. */
export interface PlaceOptions {
  /** Lower-case hex, as `seal` told it. */
  sha256: string;
  /** Bytes. */
  size: number;
  /** Take the place of a file that is there; otherwise that is `precondition_failed`. */
  overwrite: boolean;
}

/**
 * One upload under way on a backend. Pieces come in any order and side by side; two callers never write the same bytes at
 * the same time (the caller's locks see to that). Disposing lets go of descriptors and buffers, and keeps what was received.
 */
export interface StagedUpload extends AsyncDisposable {
  /**
   * Takes bytes to their final place, hashing them. What it resolves with is durable. The source is asked for more only when
   * there is room; memory is bounded for all uploads of the process together.
   * @throws HoldfastError `incomplete_body`, `too_large`, `checksum_mismatch`, `storage_full`, `backend_unavailable`,
   *   `wrong_volume`, `file_not_found` (the staged bytes are gone), `cancelled`; an error of the source unchanged. Whatever was
   *   acknowledged before stays.
   */
  receive(position: number, source: AsyncIterable<Uint8Array>, options: ReceiveOptions): Promise<Received>;
  /**
   * Tells that all bytes up to `end` were received, so that the SHA-256 of the whole can be computed in the background,
   * behind the writers.
   */
  prefixGrew(end: number): void;
  /** Bytes of the whole that are hashed already. */
  readonly hashed: number;
  /**
   * Everything was received: ends the SHA-256 of the whole, computed from the bytes as the storage has them, and makes them
   * ready to be published. Can be repeated, also after a crash.
   * @param pieces all of them, in order, without gaps
   */
  seal(
    size: number,
    pieces: readonly ReceivedPiece[],
    options?: { signal?: AbortSignal },
  ): Promise<{ sha256: string }>;
  /**
   * Moves the sealed bytes into the vault under their SHA-256, in one step that is durable when it resolves; content that is
   * there already stays as it is. Can be repeated after a crash. Only for the digest that `seal` told.
   */
  publish(sha256: string, size: number): Promise<{ stored: boolean }>;
  /**
   * Gives the sealed bytes the name of a path of the backend instead, in one atomic step that is durable when it resolves.
   * Only where that is done without copying them; elsewhere, and when it resolves to null (another file system is mounted
   * there), `StorageBackend.write` takes what `stream` hands out.
   * @throws HoldfastError `file_not_found` when nothing is staged (any more); `precondition_failed`, `is_a_directory`,
   *   `not_a_directory`, `invalid_path` as `StorageBackend.write`
   */
  place?(path: BackendPath, options: PlaceOptions): Promise<WriteResult | null>;
  /** The sealed bytes, in order; for putting several uploads together. */
  stream(options?: { signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  /** Removes every trace. Never fails because something is gone already. */
  discard(): Promise<void>;
}

/** Where uploads under way are kept: in the backend's reserved area, never swept by `StorageBackend.sweep`. */
export interface UploadStaging {
  readonly advice: ChunkAdvice;
  /**
   * Makes place for an upload; the space of a known size is allocated where the storage can.
   * @throws HoldfastError `storage_full`, `read_only`, `backend_unavailable`, `wrong_volume`
   */
  create(upload: Omit<StagedUploadKey, 'state'>): Promise<JsonObject>;
  /** Goes on with an upload, after a restart too. Cheap: nothing is read yet. @throws HoldfastError `file_not_found` when its bytes are gone, `backend_unavailable` */
  resume(upload: StagedUploadKey): Promise<StagedUpload>;
  /** The ids of all uploads that have bytes here (of this hub's own spool and of the shared storage), for the sweep. */
  list(): Promise<{ id: string; state: JsonObject; touchedAt: Date }[]>;
}

/**
 * The vault of a backend: contents under their SHA-256 in the reserved area (`/.holdfast/vault/<first two digits>/<sha256>`),
 * each once, and never changed. Failures are the same HoldfastErrors as those of the backend; `content_not_found` for what is
 * not there.
 */
export interface ContentArea {
  readonly staging: UploadStaging;
  /** Null when it is not there. */
  stat(sha256: string, options?: { signal?: AbortSignal }): Promise<StoredContent | null>;
  /** @throws HoldfastError `content_not_found` */
  open(sha256: string, options?: { signal?: AbortSignal }): Promise<OpenFile>;
  /** Stores a source whose digest need not be known; verified, durable and atomic. */
  store(source: AsyncIterable<Uint8Array>, options?: StoreContentOptions): Promise<StoreContentResult>;
  /**
   * Stores many small contents with as few waits for the disk as can be; all are durable when it resolves. The bytes are hashed
   * again on their way; one that does not match rejects that one only.
   * @returns for each, in order, whether it was stored (false: it was there) or why it was refused
   */
  storeMany(
    contents: readonly SmallContent[],
    options?: { signal?: AbortSignal },
  ): Promise<({ stored: boolean } | { error: Error })[]>;
  /** Removes a content; false when it was not there. */
  remove(sha256: string): Promise<boolean>;
  /** Contents in the order of their SHA-256, after `after`. Names that are none are passed over. */
  list(options: { after?: string; limit: number }): Promise<ContentPage>;
}
