import { HoldfastError } from '@holdfast/contract/errors';
import type { ErrorCode } from '@holdfast/contract/errors';
import { randomUUID } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { link, lstat, mkdir, open, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { BufferPool } from './buffer-pool.ts';
import { StreamDigest } from './sha256.ts';

/** Bytes of one write to the disk: request bodies come in 64 KiB pieces, and large writes cost a third of the CPU. */
export const WRITE_BUFFER_BYTES = 1024 * 1024;

const writeBuffers = new BufferPool({ bufferBytes: WRITE_BUFFER_BYTES, maxIdle: 8 });
const tempNamePattern = /^\.holdfast-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/;

/** A new name for a temporary file that stands in the folder of its target. Listings hide such names. */
export function newTempName(): string {
  return `.holdfast-${randomUUID()}.tmp`;
}

/** Whether a name is one of `newTempName`. */
export function isTempName(name: string): boolean {
  return tempNamePattern.test(name);
}

/** The errno name of a system error (`ENOENT`), or undefined for any other value. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

const unusable = 'The disk or file system does not answer as it should. Check the device and its mount.';
const errnoTable: Record<string, readonly [code: ErrorCode, advice: string]> = {
  ENOSPC: ['storage_full', 'The storage is full. Free some space, then try again.'],
  EDQUOT: ['storage_full', 'The quota is used up. Free some space or raise the quota, then try again.'],
  EFBIG: ['too_large', 'The file system does not take files as large as this.'],
  EROFS: ['read_only', 'The file system is mounted read-only.'],
  EACCES: ['read_only', 'The user that Holdfast runs as may not write there. Check owner and mode.'],
  EPERM: ['read_only', 'The system does not permit it. Check owner, mode and attributes (lsattr).'],
  EIO: ['backend_unavailable', unusable],
  ENXIO: ['backend_unavailable', unusable],
  ENODEV: ['backend_unavailable', unusable],
  ESTALE: ['backend_unavailable', 'The network file system has lost the file handle. Check the mount.'],
  ETIMEDOUT: ['backend_unavailable', 'The network file system does not answer. Check server and mount.'],
  EHOSTDOWN: ['backend_unavailable', 'The network file system does not answer. Check server and mount.'],
  ENOTCONN: ['backend_unavailable', 'The mount has lost its server. Mount it again.'],
  EMFILE: ['backend_unavailable', 'Too many files are open. Raise the limit of open files (ulimit -n).'],
  ENFILE: ['backend_unavailable', 'Too many files are open on this machine.'],
  ENAMETOOLONG: ['invalid_path', 'The name or the path is too long for the file system.'],
  ELOOP: ['invalid_path', 'Its symbolic links go in a circle.'],
  EILSEQ: ['invalid_path', 'The file system does not take this name.'],
  EINVAL: ['invalid_path', 'The file system does not take this name or this operation.'],
  ENOENT: ['file_not_found', 'It does not exist.'],
  ENOTDIR: ['not_a_directory', 'A part of the path is a file, not a folder.'],
  EISDIR: ['is_a_directory', 'There is a folder at this path.'],
  EEXIST: ['already_exists', 'There is already something at this path.'],
  ENOTEMPTY: ['not_empty', 'The folder is not empty.'],
  EBUSY: ['conflict', 'It is in use, or another file system is mounted there.'],
  EXDEV: ['not_supported', 'The two places are on different file systems.'],
};

/**
 * A system error as one of ours; a HoldfastError stays what it is.
 * @param doing what was tried on which path, as a gerund: `Writing /isos/a.iso`
 * @param access for reading, a missing permission is not "read-only"
 */
export function fileSystemError(
  error: unknown,
  doing: string,
  access: 'read' | 'write' = 'write',
): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const errno = errnoOf(error);
  if (access === 'read' && (errno === 'EACCES' || errno === 'EPERM')) {
    const advice = 'The user that Holdfast runs as may not read it. Check owner and mode.';
    const text = `${doing} failed (${errno}). ${advice}`;
    return new HoldfastError('backend_unavailable', text, { cause: error, retryable: false });
  }
  const known = errno === undefined ? undefined : errnoTable[errno];
  if (known === undefined) {
    const reason = error instanceof Error ? error.message : String(error);
    return new HoldfastError('internal', `${doing} failed: ${reason}`, { cause: error });
  }
  return new HoldfastError(known[0], `${doing} failed (${errno}). ${known[1]}`, { cause: error });
}

/** Throws `cancelled` when the signal has fired; a HoldfastError that was given as its reason is passed on. */
export function throwIfCancelled(signal: AbortSignal | undefined, doing: string): void {
  if (signal?.aborted !== true) return;
  const reason: unknown = signal.reason;
  if (reason instanceof HoldfastError) throw reason;
  throw new HoldfastError('cancelled', `${doing} was cancelled.`, { cause: reason });
}

/** Makes the names of a folder durable. File systems without a folder sync (some FUSE and network ones) are let be. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== 'EINVAL' && errno !== 'ENOTSUP' && errno !== 'EOPNOTSUPP') throw error;
  } finally {
    await handle.close();
  }
}

/**
 * Makes a folder and its missing parents, each durable before the next: the parent of every new folder is synced.
 * @returns whether the folder is new
 */
export async function makeFolderDurably(path: string, mode = 0o777): Promise<boolean> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EEXIST' && (await stat(path)).isDirectory()) return false;
    if (errno !== 'ENOENT' || dirname(path) === path)
      throw fileSystemError(error, `Making the folder ${path}`);
    await makeFolderDurably(dirname(path), mode);
    return makeFolderDurably(path, mode);
  }
  await syncFolder(dirname(path));
  return true;
}

/**
 * Gives a file a new name only when that name is free, in one atomic step (link, then unlink).
 * On a file system without hard links the name is looked at first, which is not atomic against other processes.
 * @throws the system's `EEXIST` when the name is taken
 */
export async function renameIfFree(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined || !['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(errno))
      throw error;
    const taken = await lstat(to).then(
      () => true,
      (problem: unknown) => {
        if (errnoOf(problem) === 'ENOENT') return false;
        throw problem;
      },
    );
    if (taken) throw Object.assign(new Error(`EEXIST: ${to} exists`, { cause: error }), { code: 'EEXIST' });
    await rename(from, to);
    return;
  }
  await unlink(from);
}

/** Takes chunks from a source one at a time; a cancellation does not wait for a source that is stuck. */
class SourceReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal | undefined;
  readonly #doing: string;
  #state: 'idle' | 'waiting' | 'ended' = 'idle';
  #stopWaiting: (() => void) | undefined;

  constructor(source: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined, doing: string) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.#signal = signal;
    this.#doing = doing;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  readonly #onAbort = (): void => this.#stopWaiting?.();

  /** The next chunk, or undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    throwIfCancelled(this.#signal, this.#doing);
    // A promise a chunk: racing every chunk against one long promise would pile up reactions on it.
    const stopped = Promise.withResolvers<undefined>();
    this.#stopWaiting = () => stopped.resolve(undefined);
    const result = await Promise.race([this.#step(), stopped.promise]);
    throwIfCancelled(this.#signal, this.#doing);
    return result === undefined || result.done === true ? undefined : result.value;
  }

  async #step(): Promise<IteratorResult<Uint8Array>> {
    this.#state = 'waiting';
    try {
      const result = await this.#iterator.next();
      this.#state = result.done === true ? 'ended' : 'idle';
      return result;
    } catch (error) {
      this.#state = 'ended';
      throw error;
    }
  }

  /** Lets the source clean up. Its failure to do so never hides why the reading ended. */
  async close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    if (this.#state === 'ended') return;
    const closing = Promise.resolve(this.#iterator.return?.()).catch(() => undefined);
    // A generator that hangs in `next` runs its `return` only after that: such a source is left to its owner.
    if (this.#state === 'idle') await closing;
  }
}

/** Gathers chunks into two buffers in turn: one fills while the other is hashed and written. */
class CoalescingWriter {
  readonly digest = new StreamDigest();
  readonly #handle: FileHandle;
  readonly #firstBytes: number;
  #filling: Buffer | undefined;
  #inFlight: Buffer | undefined;
  #filled = 0;
  #position = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(handle: FileHandle, expectedSize: number | undefined) {
    this.#handle = handle;
    this.#firstBytes = Math.max(1, Math.min(expectedSize ?? 64 * 1024, WRITE_BUFFER_BYTES));
  }

  async append(chunk: Uint8Array): Promise<void> {
    for (let offset = 0; offset < chunk.byteLength;) {
      const buffer = (this.#filling ??= this.#newBuffer());
      const length = Math.min(buffer.byteLength - this.#filled, chunk.byteLength - offset);
      buffer.set(chunk.subarray(offset, offset + length), this.#filled);
      this.#filled += length;
      offset += length;
      if (this.#filled === buffer.byteLength) await this.#flush(buffer);
    }
  }

  /** Writes what is left; resolves when every byte is with the system. */
  async finish(): Promise<void> {
    if (this.#filling !== undefined && this.#filled > 0) await this.#flush(this.#filling);
    await this.#writing;
  }

  /** Gives the buffers back, after the write that may still use one of them. Call it once. */
  async release(): Promise<void> {
    await this.#writing.catch(() => undefined);
    for (const buffer of [this.#filling, this.#inFlight]) {
      if (buffer?.byteLength === WRITE_BUFFER_BYTES) writeBuffers.give(buffer);
    }
  }

  /** A small file gets a small buffer: a megabyte for each of many is felt. */
  #newBuffer(): Buffer {
    const small = this.#position === 0 && this.#firstBytes < WRITE_BUFFER_BYTES;
    return small ? Buffer.allocUnsafe(this.#firstBytes) : writeBuffers.take();
  }

  async #flush(buffer: Buffer): Promise<void> {
    await this.#writing;
    const free = this.#inFlight;
    const full = buffer.subarray(0, this.#filled);
    this.#writing = this.#writeAll(full, this.#position);
    // The failure is met at the next await of #writing; until then it must not count as unhandled.
    this.#writing.catch(() => undefined);
    this.digest.update(full);
    this.#position += this.#filled;
    this.#filled = 0;
    this.#inFlight = buffer;
    this.#filling = free?.byteLength === WRITE_BUFFER_BYTES ? free : undefined;
  }

  async #writeAll(bytes: Buffer, position: number): Promise<void> {
    for (let done = 0; done < bytes.byteLength;) {
      const { bytesWritten } = await this.#handle.write(
        bytes,
        done,
        bytes.byteLength - done,
        position + done,
      );
      done += bytesWritten;
    }
  }
}

export interface StageOptions {
  /** The folder of the temporary file; the same file system as the target, for an atomic rename. */
  folder: string;
  /** Name of the temporary file. Default: a new one. */
  name?: string;
  /** How the file is called in errors: the path that a person knows. */
  label: string;
  /** Bytes that the source must have. */
  expectedSize?: number | undefined;
  /** Lower-case hex SHA-256 that the bytes must have. */
  expectedSha256?: string | undefined;
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

function verify(options: StageOptions, digest: StreamDigest): void {
  const { expectedSize, expectedSha256, label } = options;
  if (expectedSize !== undefined && digest.bytes !== expectedSize) {
    const text = `${label} was announced with ${expectedSize} bytes, but only ${digest.bytes} came. Send it again.`;
    throw new HoldfastError('incomplete_body', text);
  }
  if (expectedSha256 !== undefined && digest.hex() !== expectedSha256) {
    const text = `${label} was announced with SHA-256 ${expectedSha256}, but the bytes have ${digest.hex()}.`;
    throw new HoldfastError('checksum_mismatch', `${text} Nothing was changed; send it again.`);
  }
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
        if (expectedSize !== undefined && received > expectedSize) {
          const text = `${label} was announced with ${expectedSize} bytes, but more came. Nothing was changed.`;
          throw new HoldfastError('incomplete_body', text);
        }
        await onDisk(writer.append(chunk));
      }
      await onDisk(writer.finish());
    } finally {
      await reader.close();
      await writer.release();
    }
    verify(options, writer.digest);
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
