import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { CoalescedSync } from '@holdfast/bytes/coalesced-sync';
import { syncFolder } from '@holdfast/bytes/durable-folder';
import { HoldfastError } from '@holdfast/contract/errors';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type {
  Received,
  ReceivedPiece,
  ReceiveOptions,
  StagedUpload,
  StagedUploadKey,
} from '../../contents.ts';
import { noSuchUpload } from '../../contents/content-names.ts';
import { requireWhole } from '../../contents/pieces.ts';
import { pieceLabel, receivePiece } from '../../contents/receiving.ts';
import { WholeDigest } from '../../contents/whole-digest.ts';
import { SharedFile } from '../../spool/shared-file.ts';
import type { Spool } from '../../spool/spool.ts';
import type { Site } from '../site.ts';
import { findContent } from './content-places.ts';
import { storeInVault } from './publishing.ts';

/** Room for an upload of unknown size is taken in steps of this many bytes. */
const roomGrain = 1024 ** 2;

type Session = Omit<StagedUpload, 'discard'>;

/**
 * An upload to a web server, which takes files only as a whole: its pieces are gathered in one file of the hub's spool,
 * where they are durable when they are acknowledged, and sent when the upload is published.
 */
export class GatheredUpload implements Session {
  readonly #site: Site;
  readonly #spool: Spool;
  readonly #upload: StagedUploadKey;
  readonly #file: SharedFile;
  readonly #digest: WholeDigest;
  readonly #names: CoalescedSync;
  /** Bytes of the spool that are taken for it. */
  #room: number;
  #isNamed = false;

  private constructor(site: Site, spool: Spool, upload: StagedUploadKey, path: string, room: number) {
    this.#site = site;
    this.#spool = spool;
    this.#upload = upload;
    this.#room = room;
    this.#file = new SharedFile(path);
    this.#names = new CoalescedSync(() => syncFolder(dirname(path)));
    this.#digest = new WholeDigest((hash, to) => hash.fromFile(() => this.#descriptor(), to));
  }

  /** @param path of its file, which is there. @throws HoldfastError `file_not_found` */
  static async open(
    site: Site,
    spool: Spool,
    upload: StagedUploadKey,
    path: string,
  ): Promise<GatheredUpload> {
    const found = await stat(path).catch((error: unknown) => {
      throw noSuchUpload(upload.id, error);
    });
    return new GatheredUpload(site, spool, upload, path, found.size);
  }

  get hashed(): number {
    return this.#digest.hashed;
  }

  prefixGrew(end: number): void {
    this.#digest.grew(end);
  }

  async receive(
    position: number,
    source: AsyncIterable<Uint8Array>,
    options: ReceiveOptions,
  ): Promise<Received> {
    const { signal } = options;
    const doing = pieceLabel(this.#upload, position);
    throwIfCancelled(signal, doing);
    await using use = await this.#file.use();
    let end = position;
    return await receivePiece(this.#upload, position, source, options, {
      append: async (chunk) => {
        await this.#takeRoom(end + chunk.byteLength, doing, signal);
        this.#digest.changed(end);
        await use.file.writeAt(chunk, end);
        end += chunk.byteLength;
      },
      finish: async () => {
        await use.file.sync();
        if (!this.#isNamed) await this.#names.cover();
        this.#isNamed = true;
      },
      release: async () => {},
    });
  }

  async seal(
    size: number,
    pieces: readonly ReceivedPiece[],
    options: { signal?: AbortSignal } = {},
  ): Promise<{ sha256: string }> {
    requireWhole(this.#upload, size, pieces);
    const doing = `Sealing the upload ${this.#upload.id}`;
    return { sha256: await this.#digest.finish(size, doing, options.signal) };
  }

  async publish(sha256: string, size: number): Promise<{ stored: boolean }> {
    const site = this.#site;
    await site.enter();
    if ((await findContent(site, sha256))?.size === size) return { stored: false };
    await using use = await this.#file.use();
    const label = `the upload ${this.#upload.id}`;
    const expectations = { label, expectedSize: size, expectedSha256: sha256 };
    const { stored } = await storeInVault(site, use.file.chunks(0, size), expectations);
    return { stored };
  }

  async *stream(options: { signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array> {
    const doing = `Reading the upload ${this.#upload.id}`;
    await using use = await this.#file.use();
    const size = this.#upload.size ?? (await use.file.size());
    for await (const chunk of use.file.chunks(0, size)) {
      throwIfCancelled(options.signal, doing);
      yield chunk;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#digest[Symbol.asyncDispose]();
  }

  async #descriptor(): Promise<{ fd: number } & AsyncDisposable> {
    const use = await this.#file.use();
    return { fd: use.file.fd, [Symbol.asyncDispose]: () => use[Symbol.asyncDispose]() };
  }

  async #takeRoom(end: number, doing: string, signal: AbortSignal | undefined): Promise<void> {
    const more = Math.ceil(end / roomGrain) * roomGrain - this.#room;
    // The space of a known size was taken when the upload began.
    if (end <= this.#room || more <= 0) return;
    await this.#spool.take(more, { owner: this.#upload.id, doing, signal });
    this.#room += more;
  }
}

/** The error for an upload that another hub gathers. */
export function elsewhere(id: string): HoldfastError {
  const text =
    `The upload ${id} is gathered by another hub, because a web server takes files only as a whole. ` +
    'Send it to that hub, or begin it anew here.';
  return new HoldfastError('backend_unavailable', text, { retryable: false });
}
