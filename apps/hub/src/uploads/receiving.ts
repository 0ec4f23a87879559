import { chunkPlace, type ChunkPlace } from '@holdfast/bytes/chunk-plan';
import type { Catalog } from '@holdfast/catalog/catalog';
import type { NewPiece, Piece, PieceAnswer, Upload } from '@holdfast/catalog/uploads';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { MAX_FILE_BYTES } from '@holdfast/contract/uploads';
import type { Received, ReceiveOptions } from '@holdfast/storage/contents';
import { checkedBytes, digestOf, sentChecksumMismatch, type SentChecksum } from './compared-bytes.ts';
import type { Ending } from './ending.ts';
import { HandOverLocks } from './hand-over.ts';
import type { Lifetime } from './lifetime.ts';
import type { LiveUpload } from './live-upload.ts';
import type { LiveUploads } from './live-uploads.ts';
import { PieceCommits } from './piece-commits.ts';
import type { UploadReports } from './reports.ts';
import { closedError, isOpen, notFoundError, refusedField } from './session-state.ts';

export interface ChunkOptions {
  /** Content-Length: exactly the chunk's size. */
  length: number;
  /** Lower-case hex, from Content-Digest. */
  expectedSha256?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** An acknowledged chunk. */
export interface TakenChunk {
  num: number;
  bytes: number;
  sha256: string;
  /** Chunks received so far, this one included. */
  receivedChunks: number;
  totalChunks: number;
}

export interface AppendOptions {
  /** Bytes that come, when the client says so. */
  length?: number | undefined;
  checksum?: SentChecksum | undefined;
  signal?: AbortSignal | undefined;
}

export interface Appended {
  /** Bytes received of the whole, durable. */
  offset: number;
  /** Of the whole; null while it is not known. */
  size: number | null;
  expiresAt: Date;
  /** False when the source broke off before its end: what came counts, and `offset` says how much that is. */
  complete: boolean;
}

/** Takes bytes in: one at a time for each chunk or tus upload, the newest connection first, acknowledged when durable. */
export class Receiving {
  readonly #catalog: Catalog;
  readonly #lives: LiveUploads;
  readonly #ending: Ending;
  readonly #reports: UploadReports;
  readonly #lifetime: Lifetime;
  readonly #commits: PieceCommits;
  readonly #chunkLocks = new HandOverLocks(
    () => new HoldfastError('superseded', 'Another connection sends this chunk now; its answer counts.'),
  );
  readonly #appendLocks = new HandOverLocks(
    () => new HoldfastError('superseded', 'Another connection goes on with this upload now.'),
  );

  constructor(options: {
    catalog: Catalog;
    lives: LiveUploads;
    ending: Ending;
    reports: UploadReports;
    lifetime: Lifetime;
  }) {
    this.#catalog = options.catalog;
    this.#lives = options.lives;
    this.#ending = options.ending;
    this.#reports = options.reports;
    this.#lifetime = options.lifetime;
    this.#commits = new PieceCommits((pieces) =>
      this.#catalog.uploads.addPieces(pieces, this.#lifetime.next()),
    );
  }

  /** @param upload that is open */
  async chunk(
    upload: Upload,
    num: number,
    source: AsyncIterable<Uint8Array>,
    options: ChunkOptions,
  ): Promise<TakenChunk> {
    const place = placeOf(upload, num);
    if (options.length !== place.length) {
      const message = `must be ${place.length} for chunk ${num} of this upload, not ${options.length}`;
      throw refusedField('invalid_request', 'Content-Length', message);
    }
    using hold = await this.#chunkLocks.take(`${upload.id}/${num}`, options.signal);
    const known = await this.#catalog.uploads.piece(upload.id, num);
    const signals = [hold.signal, ...(options.signal === undefined ? [] : [options.signal])];
    if (known !== null) return await this.#compare(upload, known, source, options, AbortSignal.any(signals));
    const { piece, answer } = await this.#explained(upload, () =>
      this.#lives.use(upload.id, async (live) => {
        using writer = live.write();
        using _alive = this.#lifetime.keepAlive(upload.id);
        const signal = AbortSignal.any([...signals, writer.signal]);
        const began = performance.now();
        const taken = await live.staged.receive(place.position, source, {
          length: place.length,
          ...(options.expectedSha256 === undefined ? {} : { expectedSha256: options.expectedSha256 }),
          signal,
        });
        const received = pieceOf(upload, num, place, taken);
        const committed = await this.#commits.add(received);
        this.#reports.chunk(taken.bytes, performance.now() - began);
        if (committed.kind === 'added' || committed.kind === 'same') {
          live.noteChunks([[num, num]]);
          await live.followOthers(committed.receivedPieces, () =>
            this.#catalog.uploads.pieceNumbers(upload.id),
          );
        }
        return { piece: received, answer: committed };
      }),
    );
    return await this.#acknowledged(upload, piece, answer);
  }

  /** @param upload that is open; it is looked at again once this connection has its turn */
  async append(
    upload: Upload,
    offset: number,
    source: AsyncIterable<Uint8Array>,
    options: AppendOptions,
  ): Promise<Appended> {
    using hold = await this.#appendLocks.take(upload.id, options.signal);
    const current = await this.#openAgain(upload.id);
    const limit = this.#room(current, offset, options.length);
    const signals = [hold.signal, ...(options.signal === undefined ? [] : [options.signal])];
    return await this.#explained(current, () =>
      this.#lives.use(upload.id, async (live) => {
        using writer = live.write();
        using _alive = this.#lifetime.keepAlive(upload.id);
        const signal = AbortSignal.any([...signals, writer.signal]);
        const received = await this.#receiveTail(live, current, source, { ...options, limit, signal });
        const appended = await this.#advanced(live, current, received);
        // What came counts; the one who was asked to let go must not believe that the rest is here too.
        if (!received.complete && hold.signal.aborted) throw hold.signal.reason;
        return appended;
      }),
    );
  }

  /** A repeated chunk: hashed and compared, and nothing is written. */
  async #compare(
    upload: Upload,
    known: Piece,
    source: AsyncIterable<Uint8Array>,
    { length, expectedSha256 }: ChunkOptions,
    signal: AbortSignal,
  ): Promise<TakenChunk> {
    if (expectedSha256 !== undefined && expectedSha256 !== known.sha256) throw chunkConflict(known.num);
    const sha256 = await digestOf(source, length, signal);
    if (expectedSha256 !== undefined && expectedSha256 !== sha256) throw chunkMismatch(known.num);
    if (sha256 !== known.sha256) throw chunkConflict(known.num);
    // Committed once more: that lets the upload live on, and tells how far it is.
    const again = { ...known, uploadId: upload.id, sha256 };
    return this.#acknowledged(upload, again, await this.#commits.add(again));
  }

  async #acknowledged(
    upload: Upload,
    { num, bytes, sha256 }: NewPiece,
    answer: PieceAnswer,
  ): Promise<TakenChunk> {
    switch (answer.kind) {
      case 'added':
      case 'same': {
        const { totalChunks } = upload;
        this.#reports.progress(upload, answer.receivedBytes, answer.receivedPieces);
        return { num, bytes, sha256, receivedChunks: answer.receivedPieces, totalChunks };
      }
      case 'conflict': {
        // Two hubs took different bytes for one chunk at the same time: which of them are staged now is not known.
        const reason = new HoldfastError(
          'chunk_conflict',
          `Two connections sent different bytes for chunk ${num} at the same time, so the upload cannot be trusted any more. Begin a new one.`,
        );
        await this.#ending.fail(upload, reason);
        throw reason;
      }
      case 'closed':
        throw await this.#whyClosed(upload.id);
      default:
        return answer satisfies never;
    }
  }

  /** How many bytes may come. @throws HoldfastError `offset_mismatch`, `too_large` */
  #room(current: Upload, offset: number, length: number | undefined): number {
    if (offset !== current.receivedBytes) throw offsetMismatch(offset, current.receivedBytes);
    const room = (current.size ?? MAX_FILE_BYTES) - offset;
    if (length === undefined || length <= room) return room;
    throw new HoldfastError(
      'too_large',
      `This upload takes ${room} more bytes from offset ${offset} on, not ${length}.`,
    );
  }

  async #receiveTail(
    live: LiveUpload,
    { receivedBytes }: Upload,
    source: AsyncIterable<Uint8Array>,
    { length, checksum, limit, signal }: AppendOptions & { limit: number; signal: AbortSignal },
  ): Promise<Received> {
    const options: ReceiveOptions = { ...(length === undefined ? { limit } : { length }), signal };
    if (checksum === undefined) {
      return live.staged.receive(receivedBytes, source, { ...options, keepPartial: true });
    }
    const { algorithm, digest } = checksum;
    if (algorithm === 'sha1')
      return live.staged.receive(receivedBytes, checkedBytes(source, checksum), options);
    try {
      const expectedSha256 = digest.toString('hex');
      return await live.staged.receive(receivedBytes, source, { ...options, expectedSha256 });
    } catch (error) {
      if (isHoldfastError(error, 'checksum_mismatch')) throw sentChecksumMismatch(algorithm);
      throw error;
    }
  }

  async #advanced(live: LiveUpload, current: Upload, received: Received): Promise<Appended> {
    const { id, receivedBytes: from } = current;
    const { complete, bytes, sha256 } = received;
    const expiresAt = this.#lifetime.next();
    if (bytes === 0) {
      await this.#catalog.uploads.slide(id, expiresAt);
      return { offset: from, size: current.size, expiresAt, complete };
    }
    const receipt = received.receipt ?? null;
    const answer = await this.#catalog.uploads.advance({
      id,
      from,
      to: from + bytes,
      sha256,
      receipt,
      expiresAt,
    });
    switch (answer.kind) {
      case 'advanced': {
        const { receivedBytes: offset, receivedPieces, size } = answer.upload;
        live.noteOffset(offset);
        this.#reports.chunk(bytes, null);
        this.#reports.progress(answer.upload, offset, receivedPieces);
        return { offset, size, expiresAt: answer.upload.expiresAt, complete };
      }
      case 'offset':
        throw offsetMismatch(from, answer.upload.receivedBytes);
      case 'too_large':
        throw new HoldfastError(
          'too_large',
          `More than the ${answer.upload.size} bytes of this upload came.`,
        );
      case 'closed':
        throw await this.#whyClosed(id);
      default:
        return answer satisfies never;
    }
  }

  async #openAgain(id: string): Promise<Upload> {
    const upload = await this.#catalog.uploads.get(id);
    if (upload === null) throw notFoundError(id);
    if (!isOpen(upload)) throw closedError(upload);
    return upload;
  }

  /** Staged bytes that are not there any more have a reason: the upload has ended meanwhile, or they are really lost. */
  async #explained<T>(upload: Upload, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isHoldfastError(error, 'file_not_found')) throw error;
      const reason = new HoldfastError(
        'conflict',
        'The bytes of this upload are gone from its backend. Begin a new one.',
        { cause: error },
      );
      await this.#ending.fail(upload, reason);
      throw await this.#whyClosed(upload.id);
    }
  }

  async #whyClosed(id: string): Promise<HoldfastError> {
    const upload = await this.#catalog.uploads.get(id);
    return upload === null ? notFoundError(id) : closedError(upload);
  }
}

function placeOf({ protocol, size, chunkSize, totalChunks }: Upload, num: number): ChunkPlace {
  if (protocol !== 'chunks' || size === null || chunkSize === null) {
    throw new HoldfastError('conflict', 'This upload goes on by tus, at /api/tus; it has no chunks.');
  }
  const place = chunkPlace({ size, chunkSize }, num);
  if (place !== undefined) return place;
  const message =
    totalChunks === 0
      ? 'names no chunk: a file of no bytes has none; complete it'
      : `must be from 0 to ${totalChunks - 1}`;
  throw refusedField('invalid_request', 'chunk_num', message);
}

function pieceOf(
  { id }: Upload,
  num: number,
  { position }: ChunkPlace,
  { bytes, sha256, receipt }: Received,
): NewPiece {
  return { uploadId: id, num, position, bytes, sha256, receipt: receipt ?? null };
}

function chunkConflict(num: number): HoldfastError {
  return new HoldfastError(
    'chunk_conflict',
    `Other bytes were received for chunk ${num} already. If the file has changed, begin a new upload.`,
  );
}

function chunkMismatch(num: number): HoldfastError {
  return new HoldfastError(
    'checksum_mismatch',
    `The bytes of chunk ${num} do not have the announced SHA-256. They were not kept; send them again.`,
  );
}

function offsetMismatch(sent: number, stands: number): HoldfastError {
  return new HoldfastError('offset_mismatch', `This upload goes on at offset ${stands}, not ${sent}.`, {
    errors: [{ field: 'Upload-Offset', message: `must be ${stands}` }],
  });
}
