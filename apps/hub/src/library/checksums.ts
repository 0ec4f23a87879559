import { setTimeout as delay } from 'node:timers/promises';
import type { HashPool } from '@holdfast/bytes/hash-pool';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { StreamDigest } from '@holdfast/bytes/sha256';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { ChecksumRecord } from '@holdfast/catalog/checksums';
import { HoldfastError } from '@holdfast/contract/errors';
import type { OpenFile, StorageBackend, StorageEntry } from '@holdfast/storage/backend';
import type { Metrics } from '../metrics.ts';

/**
 * File systems stamp changes with a clock tick of up to 10 ms. A file younger than this is hashed only after
 * its tick has surely passed, so that a later change cannot hide behind the same time stamp.
 */
const TIMESTAMP_TICK_MS = 20;
/** How often a file that keeps changing is hashed anew before giving up. */
const ATTEMPTS = 3;

export interface ComputedChecksum {
  sha256: string;
  entry: StorageEntry;
}

/**
 * The checksum life cycle: a record counts only while the file's validator is the one it was computed for.
 * Files without a fresh record are hashed, each version once however many ask.
 */
export class Checksums {
  readonly #catalog: Catalog;
  readonly #pool: HashPool;
  readonly #metrics: Metrics;
  readonly #computing = new Map<string, Promise<ComputedChecksum>>();

  constructor(options: { catalog: Catalog; pool: HashPool; metrics: Metrics }) {
    this.#catalog = options.catalog;
    this.#pool = options.pool;
    this.#metrics = options.metrics;
  }

  /** The record for exactly this version of the file, or null. */
  async known(backendId: string, entry: StorageEntry): Promise<ChecksumRecord | null> {
    const record = await this.#catalog.checksums.get(backendId, entry.path);
    if (record === null) return null;
    if (isFresh(record, entry)) return record;
    this.#metrics.staleChecksums.inc();
    return null;
  }

  /** The fresh records of many entries, by path. */
  async knownOf(backendId: string, entries: readonly StorageEntry[]): Promise<Map<string, ChecksumRecord>> {
    const files = entries.filter((entry) => entry.type === 'file');
    const records = await this.#catalog.checksums.getMany(
      backendId,
      files.map((entry) => entry.path),
    );
    for (const entry of files) {
      const record = records.get(entry.path);
      if (record !== undefined && !isFresh(record, entry)) records.delete(entry.path);
    }
    return records;
  }

  /** Keeps the checksum of bytes that were just stored or hashed. */
  async keep(backendId: string, entry: StorageEntry, sha256: string): Promise<void> {
    await this.#catalog.checksums.put({
      backendId,
      path: entry.path,
      sha256,
      size: entry.size,
      validator: entry.validator,
      computedAt: new Date(),
    });
  }

  /** Hashes the file as it is now and keeps the result; callers for the same version share one reading. */
  async compute(
    backendId: string,
    storage: StorageBackend,
    path: BackendPath,
    signal?: AbortSignal,
  ): Promise<ComputedChecksum> {
    const key = `${backendId}:${path}`;
    const running = this.#computing.get(key);
    if (running !== undefined) return running;
    const work = this.#compute(backendId, storage, path, signal).finally(() => this.#computing.delete(key));
    this.#computing.set(key, work);
    return work;
  }

  async #compute(
    backendId: string,
    storage: StorageBackend,
    path: BackendPath,
    signal?: AbortSignal,
  ): Promise<ComputedChecksum> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      await using file = await storage.open(path, signal === undefined ? {} : { signal });
      const age = Date.now() - file.entry.modifiedAt.getTime();
      if (age >= 0 && age < TIMESTAMP_TICK_MS) await delay(TIMESTAMP_TICK_MS);
      const sha256 = await this.hash(file, signal);
      const after = await file.revalidate();
      if (sha256 === null || after.validator !== file.entry.validator) continue;
      await this.keep(backendId, file.entry, sha256);
      return { sha256, entry: file.entry };
    }
    throw new HoldfastError(
      'conflict',
      `${path} keeps changing while it is being read; try again when its writer is done.`,
    );
  }

  /** The SHA-256 of an open file, read whole; null when it ended elsewhere than its size said. */
  async hash(
    file: OpenFile,
    signal?: AbortSignal,
    onBytes?: (bytes: number) => void,
  ): Promise<string | null> {
    if (file.fd !== undefined) {
      const { sha256, bytes } = await this.#pool.hashFd(file.fd, {
        size: file.entry.size,
        ...(signal === undefined ? {} : { signal }),
        ...(onBytes === undefined ? {} : { onProgress: onBytes }),
      });
      this.#metrics.hashedBytes.inc(bytes);
      return bytes === file.entry.size ? sha256 : null;
    }
    const digest = new StreamDigest();
    for await (const chunk of file.stream(undefined, signal === undefined ? {} : { signal })) {
      digest.update(chunk);
      onBytes?.(digest.bytes);
    }
    this.#metrics.hashedBytes.inc(digest.bytes);
    return digest.bytes === file.entry.size ? digest.hex() : null;
  }
}

function isFresh(record: ChecksumRecord, entry: StorageEntry): boolean {
  return record.validator === entry.validator && record.size === entry.size;
}
