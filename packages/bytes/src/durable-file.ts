import { HoldfastError } from '@holdfast/contract/errors';
import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, rename, rm, unlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { requireNotMore, requireSha256, requireSize } from './announced-bytes.ts';
import type { Announcement } from './announced-bytes.ts';
import { throwIfCancelled } from './cancellation.ts';
import { CoalescingWriter, WRITE_BUFFER_BYTES } from './coalescing-writer.ts';
import { syncFolder } from './durable-folder.ts';
import { errnoOf, fileSystemError } from './file-system-error.ts';
import { renameIfFree } from './rename-if-free.ts';
import type { StreamDigest } from './sha256.ts';
import { SourceReader } from './source-reader.ts';
import { newTempName } from './temp-name.ts';

export interface StageOptions extends Announcement {
  /** The folder of the temporary file; the same file system as the target, for an atomic rename. */
  folder: string;
  /** Name of the temporary file. Default: a new one. */
  name?: string;
  /** How the file is called in errors: the path that a person knows. */
  label: string;
  /** Permission bits, cut by the umask. Default 0666. */
  mode?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Where a staged file becomes visible. */
export interface PublishTarget {
  folder: string;
  name: string;
  /** Refuse with `precondition_failed` when the name is taken. */
  ifAbsent?: boolean | undefined;
  /**
   * Allows a target on another file system: the bytes are staged again in the target's folder. The path of a file
   * that is written before, with a text that tells a later sweep where the temporary file `tempName` stands.
   */
  crossDevice?: { intentPath: string; intentText: (tempName: string) => string } | undefined;
}

/** Bytes that are durable under a temporary name, and known by size and SHA-256. Disposing removes what is not published. */
export class StagedFile implements AsyncDisposable {
  readonly size: number;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #label: string;
  #published = false;
  #moved: StagedFile | undefined;

  constructor(path: string, handle: FileHandle, label: string, digest: StreamDigest) {
    this.#path = path;
    this.#handle = handle;
    this.#label = label;
    this.size = digest.bytes;
    this.sha256 = digest.hex();
  }

  /**
   * Gives the file its name in one atomic step and makes the name durable.
   * @returns the stats of the very file that was published, taken after every step that changes its ctime
   */
  async publish(target: PublishTarget): Promise<BigIntStats> {
    const to = `${target.folder}/${target.name}`;
    try {
      await (target.ifAbsent === true ? renameIfFree(this.#path, to) : rename(this.#path, to));
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'EXDEV' && target.crossDevice !== undefined) {
        return this.#publishAcross(target, target.crossDevice);
      }
      if (errno === 'EEXIST' && target.ifAbsent === true) {
        const text = `${this.#label} exists already, and the write asked that it does not.`;
        throw new HoldfastError('precondition_failed', text, { cause: error });
      }
      throw fileSystemError(error, `Publishing ${this.#label}`);
    }
    this.#published = true;
    try {
      await syncFolder(target.folder);
      return await this.#handle.stat({ bigint: true });
    } catch (error) {
      throw fileSystemError(error, `Making the name of ${this.#label} durable`);
    }
  }

  async #publishAcross(
    target: PublishTarget,
    intent: NonNullable<PublishTarget['crossDevice']>,
  ): Promise<BigIntStats> {
    const name = newTempName();
    try {
      await writeFileDurably(intent.intentPath, Buffer.from(intent.intentText(name)), { mode: 0o600 });
      this.#moved = await stageFile(this.#bytes(), {
        folder: target.folder,
        name,
        label: this.#label,
        expectedSize: this.size,
        expectedSha256: this.sha256,
        mode: (await this.#handle.stat()).mode & 0o777,
      });
      return await this.#moved.publish({ ...target, crossDevice: undefined });
    } finally {
      // The intent goes only when the temporary file is surely gone; otherwise both are left to the sweep.
      await rm(`${target.folder}/${name}`, { force: true })
        .then(() => rm(intent.intentPath, { force: true }))
        .catch(() => undefined);
    }
  }

  async *#bytes(): AsyncGenerator<Uint8Array> {
    const buffer = Buffer.allocUnsafe(Math.min(Math.max(this.size, 1), WRITE_BUFFER_BYTES));
    for (let position = 0; position < this.size;) {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.byteLength, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  /** Never throws, so that it does not hide the first error: what could not be removed is left to a sweep. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#moved?.[Symbol.asyncDispose]();
    await discard(this.#handle, this.#published ? undefined : this.#path);
  }
}

async function discard(handle: FileHandle, path: string | undefined): Promise<void> {
  await handle.close().catch(() => undefined);
  if (path !== undefined) await unlink(path).catch(() => undefined);
}

/**
 * Streams a source into a temporary file, hashing the very bytes that are written, verifies them, and syncs the file.
 * Memory: two buffers of 1 MiB, whatever the size; the source is asked for more only when there is room.
 * On any failure the temporary file is removed and the first error is thrown; an error of the source unchanged.
 *
 * @throws HoldfastError `incomplete_body` (another size than expected), `checksum_mismatch`, `cancelled`,
 *   `storage_full`, `read_only`, `backend_unavailable`
 */
export async function stageFile(
  source: AsyncIterable<Uint8Array>,
  options: StageOptions,
): Promise<StagedFile> {
  const { expectedSize, label, signal } = options;
  const doing = `Writing ${label}`;
  const path = `${options.folder}/${options.name ?? newTempName()}`;
  throwIfCancelled(signal, doing);
  // Read as well as written: a target on another file system is fed from the same descriptor.
  const handle = await open(path, 'wx+', options.mode ?? 0o666).catch((error: unknown) => {
    throw fileSystemError(error, doing);
  });
  const onDisk = <T>(step: Promise<T>): Promise<T> =>
    step.catch((error: unknown) => {
      throw fileSystemError(error, doing);
    });
  try {
    const writer = new CoalescingWriter(handle, expectedSize);
    const reader = new SourceReader(source, signal, doing);
    try {
      let received = 0;
      for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
        received += chunk.byteLength;
        requireNotMore(label, options, received);
        await onDisk(writer.append(chunk));
      }
      await onDisk(writer.finish());
    } finally {
      await reader[Symbol.asyncDispose]();
      await writer.release();
    }
    requireSize(label, options, writer.digest.bytes);
    requireSha256(label, options, writer.digest.hex());
    await onDisk(handle.sync());
    throwIfCancelled(signal, doing);
    return new StagedFile(path, handle, label, writer.digest);
  } catch (error) {
    await discard(handle, path);
    throw error;
  }
}

export interface WriteFileOptions {
  /** Permission bits, cut by the umask. Default 0666. */
  mode?: number;
  /** Refuse with `precondition_failed` when the path exists. */
  ifAbsent?: boolean;
  /** Called when the bytes are durable and just before they get their name; throwing refuses the write. */
  beforePublish?: (staged: StagedFile) => Promise<void> | void;
  signal?: AbortSignal;
}

/**
 * Replaces a file of the local disk as a whole and durably: staged beside it, synced, renamed, folder synced.
 * The folder must exist. Errors as `stageFile`.
 * @returns size in bytes and lower-case hex SHA-256 of what was written
 */
export async function writeFileDurably(
  path: string,
  source: AsyncIterable<Uint8Array> | Uint8Array,
  options: WriteFileOptions = {},
): Promise<{ size: number; sha256: string }> {
  const { mode, signal } = options;
  const bytes = source instanceof Uint8Array ? once(source) : source;
  await using staged = await stageFile(bytes, { folder: dirname(path), label: path, mode, signal });
  await options.beforePublish?.(staged);
  await staged.publish({ folder: dirname(path), name: basename(path), ifAbsent: options.ifAbsent });
  return { size: staged.size, sha256: staged.sha256 };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
