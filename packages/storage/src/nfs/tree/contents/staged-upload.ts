import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { CoalescedSync } from '@holdfast/bytes/coalesced-sync';
import { EMPTY_SHA256 } from '@holdfast/bytes/sha256';
import type { PrefixHash } from '@holdfast/bytes/prefix-hashes';
import { Turns } from '@holdfast/bytes/turns';
import type {
  Received,
  ReceivedPiece,
  ReceiveOptions,
  StagedUpload,
  StagedUploadKey,
} from '../../../contents.ts';
import { noSuchUpload } from '../../../contents/content-names.ts';
import { requireWhole } from '../../../contents/pieces.ts';
import { pieceLabel, receivePiece } from '../../../contents/receiving.ts';
import { WholeDigest } from '../../../contents/whole-digest.ts';
import { isFailure, nfsError } from '../../failure.ts';
import { nfsStatus } from '../../status.ts';
import { BlockSums } from './block-sums.ts';
import { PieceSender } from './piece-sender.ts';
import type { StagedFiles } from './staged-files.ts';
import { readStored } from './stored-bytes.ts';
import { publishStaged } from './vault.ts';

/** Bytes that are read back in one turn: then it is another upload's turn. */
const TURN_BYTES = 16 * 1024 * 1024;
/** Of the whole process: each turn has four reads of 512 KiB in memory. */
const turns = new Turns(4);

/** An upload whose bytes stand in one file of a share, each at its final place. */
export class ShareUpload implements StagedUpload {
  readonly #files: StagedFiles;
  readonly #key: StagedUploadKey;
  readonly #label: string;
  readonly #sums = new BlockSums();
  readonly #digest = new WholeDigest((hash, to) => turns.run(() => this.#feed(hash, to)));
  readonly #commit = new CoalescedSync(() => this.#commitBytes());
  #sealed: { size: number; sha256: string } | undefined;

  constructor(files: StagedFiles, key: StagedUploadKey) {
    this.#files = files;
    this.#key = key;
    this.#label = `the upload ${key.id}`;
  }

  async receive(
    position: number,
    source: AsyncIterable<Uint8Array>,
    options: ReceiveOptions,
  ): Promise<Received> {
    const { id } = this.#key;
    const doing = pieceLabel(this.#key, position);
    throwIfCancelled(options.signal, doing);
    await using open = await this.#files.borrowChecked(id);
    this.#changes(position);
    // Until it has arrived, nothing is known of what stands there.
    this.#sums.forget(position, position + (options.length ?? Number.MAX_SAFE_INTEGER));
    try {
      const { file } = open;
      const target = {
        maxWriteBytes: file.maxWriteBytes,
        write: (at: number, bytes: Uint8Array) => file.write(at, bytes),
        commit: () => this.#commit.cover(),
      };
      const sender = new PieceSender(target, position, doing);
      const received = await receivePiece(this.#key, position, source, options, sender);
      this.#sums.note(position, sender.blocks);
      return received;
    } catch (error) {
      if (isFailure(error, nfsStatus.STALE, nfsStatus.NOENT)) throw noSuchUpload(id, error);
      throw error;
    } finally {
      this.#digest.changed(position);
    }
  }

  prefixGrew(end: number): void {
    this.#digest.grew(end);
  }

  get hashed(): number {
    return this.#digest.hashed;
  }

  async seal(
    size: number,
    pieces: readonly ReceivedPiece[],
    options: { signal?: AbortSignal } = {},
  ): Promise<{ sha256: string }> {
    const { id } = this.#key;
    const doing = `Sealing ${this.#label}`;
    throwIfCancelled(options.signal, doing);
    requireWhole(this.#key, size, pieces);
    const { attributes } = await this.#files.look(id);
    if (this.#sealed?.size === size && attributes.size === size) return { sha256: this.#sealed.sha256 };
    const sha256 = size === 0 ? EMPTY_SHA256 : await this.#digest.finish(size, doing, options.signal);
    await using open = await this.#files.borrow(id);
    try {
      // What a piece that failed has left behind the end goes, and the time is that of now.
      await open.file.resize(size);
      await this.#commit.cover();
    } catch (error) {
      throw nfsError(error, doing);
    }
    this.#sealed = { size, sha256 };
    return { sha256 };
  }

  async publish(sha256: string, size: number): Promise<{ stored: boolean }> {
    await this[Symbol.asyncDispose]();
    return publishStaged(this.#files, this.#key.id, sha256, size);
  }

  async *stream(options: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
    await using open = await this.#files.borrowChecked(this.#key.id);
    const size = this.#sealed?.size ?? (await open.file.attributes()).size;
    for await (const bytes of readStored(open.file, 0, size, this.#sums, this.#label)) {
      throwIfCancelled(options.signal, `Reading ${this.#label}`);
      yield bytes;
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

  #changes(position: number): void {
    this.#digest.changed(position);
    this.#sealed = undefined;
  }

  /** Reads back what the server has, for one turn. */
  async #feed(hash: PrefixHash, to: number): Promise<void> {
    await using open = await this.#files.borrow(this.#key.id);
    const start = hash.hashed;
    const end = Math.min(to, start + TURN_BYTES);
    for await (const bytes of readStored(open.file, start, end, this.#sums, this.#label)) {
      if (!(await hash.takeOver(new Uint8Array(bytes)))) return;
    }
  }

  async #commitBytes(): Promise<string> {
    await using open = await this.#files.borrow(this.#key.id);
    return await open.file.commit();
  }
}
