import { EMPTY_SHA256, sha256Hex } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import type { ReceivedPiece, ReceiveOptions, Received, StagedUploadKey } from '../../contents.ts';
import { pieceLabel, receivePiece } from '../../contents/receiving.ts';
import type { SpoolFile } from '../../spool/spool-file.ts';
import { SHA256 } from '../object-metadata.ts';
import { putObject } from '../objects.ts';
import { joinParts } from './joining.ts';
import { PrefixDigest } from './prefix-digest.ts';
import { readBack } from './reading-back.ts';
import { receiptOf, sentPieceOf } from './receipts.ts';
import type { SentPiece } from './receipts.ts';
import { sendObject, sendPart } from './sending.ts';
import type { StagedObject } from './staged-object.ts';
import type { SealedDigest, UploadSession, Workshop } from './upload-session.ts';

/**
 * An upload whose chunks are what S3 takes: each is one part, or the only one is the object. A chunk is spooled while it
 * is hashed, sent with its SHA-256 signed, and acknowledged when S3 has acknowledged it. All that is needed to go on is
 * with the caller, so that chunks of one upload may come to different hubs.
 */
export class ChunkUpload implements UploadSession {
  readonly staged: StagedObject;
  readonly uploadId: string | undefined;
  readonly #workshop: Workshop;
  readonly #upload: StagedUploadKey;
  readonly #digest: PrefixDigest;

  /** @param uploadId absent when the only chunk is the object */
  constructor(workshop: Workshop, staged: StagedObject, upload: StagedUploadKey, uploadId?: string) {
    this.#workshop = workshop;
    this.staged = staged;
    this.#upload = upload;
    this.uploadId = uploadId;
    this.#digest = new PrefixDigest(workshop.spool);
  }

  get hashed(): number {
    return this.#digest.hashed;
  }

  prefixGrew(end: number): void {
    if (this.uploadId !== undefined) this.#digest.grew(end);
  }

  async receive(
    position: number,
    source: AsyncIterable<Uint8Array>,
    options: ReceiveOptions,
  ): Promise<Received> {
    const { signal } = options;
    const doing = pieceLabel(this.#upload, position);
    const { bytes, partNumber } = this.#planned(position, options, doing);
    const { spool } = this.#workshop;
    await spool.take(bytes, { doing, signal });
    let file: SpoolFile | undefined;
    let isKept = false;
    try {
      const spooled = await spool.newFile();
      file = spooled;
      let offset = 0;
      const { sha256, complete } = await receivePiece(
        this.#upload,
        position,
        source,
        { ...options, length: bytes },
        {
          append: async (chunk) => {
            await spooled.writeAt(chunk, offset);
            offset += chunk.byteLength;
          },
          // It is durable when S3 has it.
          finish: async () => {},
          release: async () => {},
        },
      );
      // S3 has no half parts: what came of a chunk that broke off is worth nothing.
      if (!complete) return { bytes: 0, sha256: EMPTY_SHA256, complete: false };
      const etag = await this.#send(
        partNumber,
        { file: spooled, start: 0, end: bytes, sha256 },
        doing,
        signal,
      );
      if (this.uploadId !== undefined) {
        isKept = true;
        this.#digest.keep({ start: position, end: position + bytes, sha256, etag }, spooled);
      }
      return { bytes, sha256, complete: true, receipt: receiptOf(sha256, etag) };
    } finally {
      if (!isKept) {
        spool.give(bytes);
        await file?.[Symbol.asyncDispose]();
      }
    }
  }

  async seal(
    size: number,
    pieces: readonly ReceivedPiece[],
    signal: AbortSignal | undefined,
  ): Promise<SealedDigest> {
    const doing = `Sealing the upload ${this.staged.id}`;
    const sent = pieces.map(sentPieceOf);
    const call = { doing, signal, patience: 'long' } as const;
    return this.staged.bucket.run(doing, 'write', signal, async () => {
      if (size === 0) return this.#sealEmpty(doing, signal);
      if (this.uploadId === undefined) return this.#sealSingle(sent, doing, signal);
      const handle = { key: this.staged.key, uploadId: this.uploadId };
      const parts = sent.map(({ start, end, etag }) => {
        return { partNumber: this.#partNumberAt(start), etag, bytes: end - start };
      });
      const { asNoted } = await joinParts(this.staged, handle, parts, call);
      const sha256 = asNoted ? await this.#digest.digestOf(sent) : undefined;
      if (sha256 !== undefined) return { sha256 };
      return { sha256: await readBack(await this.staged.open(call), sent, signal) };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#digest[Symbol.asyncDispose]();
  }

  async #sealEmpty(doing: string, signal: AbortSignal | undefined): Promise<SealedDigest> {
    const { bucket, key } = this.staged;
    const call = { doing, signal, patience: 'long' } as const;
    const nothing = new Uint8Array(0);
    const metadata = { [SHA256]: EMPTY_SHA256 };
    await putObject(bucket.connection, key, nothing, sha256Hex(nothing), { metadata }, call);
    return { sha256: EMPTY_SHA256 };
  }

  async #sealSingle(
    sent: readonly SentPiece[],
    doing: string,
    signal: AbortSignal | undefined,
  ): Promise<SealedDigest> {
    const call = { doing, signal, patience: 'long' } as const;
    const [piece] = sent;
    await using file = await this.staged.open(call);
    if (piece === undefined || sent.length > 1 || file.entry.size !== piece.end) throw this.staged.gone();
    // The metadata was signed together with the bytes, and the receipt came another way: both say the same.
    if (file.object.metadata[SHA256] === piece.sha256) return { sha256: piece.sha256 };
    return { sha256: await readBack(file, sent, signal) };
  }

  #partNumberAt(position: number): number {
    return 1 + position / (this.#upload.chunkSize ?? 1);
  }

  #planned(
    position: number,
    { length }: ReceiveOptions,
    doing: string,
  ): { bytes: number; partNumber: number } {
    const { size, chunkSize } = this.#upload;
    if (size === null || chunkSize === null) throw this.staged.gone();
    const bytes = Math.min(chunkSize, size - position);
    const isChunk = position >= 0 && position < size && position % chunkSize === 0;
    if (isChunk && (length ?? bytes) === bytes) return { bytes, partNumber: this.#partNumberAt(position) };
    const text = `${doing} is not possible: this upload has ${size} bytes in chunks of ${chunkSize}.`;
    throw new HoldfastError('validation_failed', text, {
      errors: [{ field: 'position', message: `must be that of a chunk, and its length` }],
    });
  }

  async #send(
    partNumber: number,
    bytes: Parameters<typeof sendPart>[3],
    doing: string,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const { bucket, key } = this.staged;
    const { uploadId } = this;
    const call = { doing, signal, patience: 'long' } as const;
    return this.#workshop.slots.run(signal, doing, () =>
      this.staged.sending(doing, partNumber, signal, () =>
        uploadId === undefined
          ? sendObject(bucket.connection, key, bytes, { [SHA256]: bytes.sha256 }, call)
          : sendPart(bucket.connection, { key, uploadId }, partNumber, bytes, call),
      ),
    );
  }
}
