import type { BackendPath } from '@holdfast/bytes/backend-path';
import { CoalescedSync } from '@holdfast/bytes/coalesced-sync';
import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { fileSystemError } from '@holdfast/bytes/file-system-error';
import type { ReadableDescriptor } from '@holdfast/bytes/prefix-hashes';
import { EMPTY_SHA256, StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import type { WriteResult } from '../../backend.ts';
import type {
  PlaceOptions,
  Received,
  ReceivedPiece,
  ReceiveOptions,
  StagedUpload,
  StagedUploadKey,
} from '../../contents.ts';
import { requireWhole } from '../../contents/pieces.ts';
import { pieceLabel, receivePiece } from '../../contents/receiving.ts';
import { WholeDigest } from '../../contents/whole-digest.ts';
import { PieceWriter } from './piece-writer.ts';
import { placeStaged } from './placing.ts';
import type { StagedFiles } from './staged-files.ts';
import { publishStaged } from './vault.ts';

/** Up to this size a file that comes in one piece is not read again: what was written is what was hashed. */
const SMALL_BYTES = 1024 * 1024;
const READ_BYTES = 256 * 1024;

/** An upload whose bytes stand in one file, each at its final place. */
export class LocalUpload implements StagedUpload {
  readonly #files: StagedFiles;
  readonly #key: StagedUploadKey;
  readonly #digest: WholeDigest;
  readonly #sync = new CoalescedSync(() => this.#syncBytes());
  /** All bytes up to there came in one piece, with this digest. */
  #onePiece: { bytes: number; sha256: string } | undefined;
  #sealed: { size: number; sha256: string } | undefined;
  #named: Promise<void> | undefined;

  constructor(files: StagedFiles, key: StagedUploadKey) {
    this.#files = files;
    this.#key = key;
    const open = async (): Promise<ReadableDescriptor> => {
      const { file, [Symbol.asyncDispose]: giveBack } = await files.borrowToRead(key.id);
      return { fd: file.fd, [Symbol.asyncDispose]: giveBack };
    };
    this.#digest = new WholeDigest((hash, to) => hash.fromFile(open, to));
  }

  async receive(
    position: number,
    source: AsyncIterable<Uint8Array>,
    options: ReceiveOptions,
  ): Promise<Received> {
    const { id } = this.#key;
    throwIfCancelled(options.signal, pieceLabel(this.#key, position));
    await (await this.#files.borrowChecked(id))[Symbol.asyncDispose]();
    this.#changes(position);
    try {
      const writer = new PieceWriter(
        {
          write: (bytes, at) => this.#write(bytes, at),
          sync: () => this.#makeDurable(),
        },
        position,
        options.length,
      );
      const received = await receivePiece(this.#key, position, source, options, writer);
      if (this.#isRemote) await this.#compare(position, received);
      else if (position === 0 && received.bytes <= SMALL_BYTES) {
        this.#onePiece = { bytes: received.bytes, sha256: received.sha256 };
      }
      return received;
    } finally {
      this.#digest.changed(position);
    }
  }

  prefixGrew(end: number): void {
    if (this.#onePiece?.bytes !== end) this.#digest.grew(end);
  }

  get hashed(): number {
    return Math.max(this.#onePiece?.bytes ?? 0, this.#digest.hashed);
  }

  async seal(
    size: number,
    pieces: readonly ReceivedPiece[],
    options: { signal?: AbortSignal } = {},
  ): Promise<{ sha256: string }> {
    const { id } = this.#key;
    const doing = `Sealing the upload ${id}`;
    throwIfCancelled(options.signal, doing);
    requireWhole(this.#key, size, pieces);
    const present = await this.#files.size(id);
    if (this.#sealed?.size === size) return { sha256: this.#sealed.sha256 };
    if (present > size) await this.#truncate(size);
    const sha256 = await this.#digestOf(size, doing, options.signal);
    // A restarted process cannot know what its predecessor has made durable.
    await this.#makeDurable();
    this.#sealed = { size, sha256 };
    return { sha256 };
  }

  async publish(sha256: string, size: number): Promise<{ stored: boolean }> {
    await this.#digest[Symbol.asyncDispose]();
    await this.#files.close(this.#key.id);
    return publishStaged(this.#files, this.#key.id, sha256, size);
  }

  async place(path: BackendPath, options: PlaceOptions): Promise<WriteResult | null> {
    await this.#digest[Symbol.asyncDispose]();
    await this.#files.close(this.#key.id);
    return placeStaged(this.#files, this.#key.id, path, options);
  }

  async *stream(options: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
    const { id } = this.#key;
    const doing = `Reading the upload ${id}`;
    await using file = await this.#files.borrowChecked(id);
    const size = this.#sealed?.size ?? (await file.file.stat()).size;
    for (let position = 0; position < size;) {
      throwIfCancelled(options.signal, doing);
      const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, size - position));
      const { bytesRead } = await file.file
        .read(buffer, 0, buffer.byteLength, position)
        .catch((error: unknown) => {
          throw fileSystemError(error, doing, 'read');
        });
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async discard(): Promise<void> {
    await this[Symbol.asyncDispose]();
    await this.#files.remove(this.#key.id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#digest[Symbol.asyncDispose]();
    await this.#files.close(this.#key.id);
  }

  get #isRemote(): boolean {
    return this.#files.volume.verifyStaged !== undefined;
  }

  #changes(position: number): void {
    this.#digest.changed(position);
    this.#sealed = undefined;
    if (position < (this.#onePiece?.bytes ?? 0)) this.#onePiece = undefined;
  }

  async #digestOf(size: number, doing: string, signal: AbortSignal | undefined): Promise<string> {
    if (size === 0) return EMPTY_SHA256;
    if (this.#onePiece?.bytes === size) return this.#onePiece.sha256;
    return this.#digest.finish(size, doing, signal);
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    await using file = await this.#files.borrow(this.#key.id);
    try {
      for (let done = 0; done < bytes.byteLength;) {
        const { bytesWritten } = await file.file.write(bytes, done, bytes.byteLength - done, position + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw fileSystemError(error, pieceLabel(this.#key, position));
    }
  }

  /** Nothing guards bytes on their way to a server, so that only what comes back shows what it has. */
  async #compare(position: number, { bytes, sha256 }: Received): Promise<void> {
    // The second look tells bytes that were changed on their way back from bytes that are wrong over there.
    if ((await this.#readBack(position, bytes)) === sha256) return;
    if ((await this.#readBack(position, bytes)) === sha256) return;
    const text = `${pieceLabel(this.#key, position)}: the server has other bytes than were sent to it.`;
    const advice = 'Check the network for damaged packets, then send them again.';
    throw new HoldfastError('backend_unavailable', `${text} ${advice}`);
  }

  async #readBack(position: number, bytes: number): Promise<string> {
    await using file = await this.#files.borrowToRead(this.#key.id);
    const digest = new StreamDigest();
    const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, Math.max(bytes, 1)));
    try {
      while (digest.bytes < bytes) {
        const wanted = Math.min(buffer.byteLength, bytes - digest.bytes);
        const { bytesRead } = await file.file.read(buffer, 0, wanted, position + digest.bytes);
        if (bytesRead === 0) break;
        digest.update(buffer.subarray(0, bytesRead));
      }
    } catch (error) {
      throw fileSystemError(error, pieceLabel(this.#key, position), 'read');
    }
    return digest.hex();
  }

  /** The bytes by a sync that began after they were written; the name of the file once. */
  async #makeDurable(): Promise<void> {
    this.#named ??= this.#files.syncNames().catch((error: unknown) => {
      this.#named = undefined;
      throw error;
    });
    await Promise.all([this.#sync.cover(), this.#named]);
  }

  async #syncBytes(): Promise<void> {
    await using file = await this.#files.borrow(this.#key.id);
    try {
      await file.file.datasync();
    } catch (error) {
      throw fileSystemError(error, `Making the bytes of the upload ${this.#key.id} durable`);
    }
  }

  async #truncate(size: number): Promise<void> {
    await using file = await this.#files.borrow(this.#key.id);
    try {
      await file.file.truncate(size);
    } catch (error) {
      throw fileSystemError(error, `Sealing the upload ${this.#key.id}`);
    }
  }
}
